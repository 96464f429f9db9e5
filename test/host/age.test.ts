import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable, type Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ageDecryption, ageEncryption, parseIdentities } from '../../daemon/host/age.ts';
import { temporaryDir } from './temporary.ts';

const IDENTITY = await generateX25519Identity();
const RECIPIENT = await identityToRecipient(IDENTITY);

/** What comes out when `bytes` go in, in pieces of `piece` bytes. */
async function through(transform: Transform, bytes: Uint8Array, piece = 10_007): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += piece) pieces.push(Buffer.from(bytes.subarray(at, at + piece)));
  const source = Readable.from(pieces);
  source.on('error', (error) => transform.destroy(error));
  return buffer(source.pipe(transform));
}

const encrypted = async (bytes: Uint8Array, ...to: string[]) =>
  through(await ageEncryption(to.length === 0 ? [RECIPIENT] : to), bytes);
const decrypted = (file: Uint8Array, piece?: number) => through(ageDecryption([IDENTITY]), file, piece);

/** Around the borders of chunks. */
const SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073, 300_000];

describe('age files', () => {
  test.each(SIZES)('of %i bytes are what the library reads, and the other way round', async (size) => {
    const plain = randomBytes(size);
    const ours = await encrypted(plain);
    const decrypter = new Decrypter();
    decrypter.addIdentity(IDENTITY);
    expect(Buffer.from(await decrypter.decrypt(ours)).equals(plain)).toBe(true);
    const encrypter = new Encrypter();
    encrypter.addRecipient(RECIPIENT);
    const theirs = await encrypter.encrypt(plain);
    expect((await decrypted(theirs)).equals(plain)).toBe(true);
    expect((await decrypted(ours, 1_000_000)).equals(plain)).toBe(true);
  });

  test('open for each of several recipients', async () => {
    const other = await generateX25519Identity();
    const file = await encrypted(Buffer.from('hello'), RECIPIENT, await identityToRecipient(other));
    for (const identity of [IDENTITY, other]) {
      expect((await through(ageDecryption([identity]), file)).toString()).toBe('hello');
    }
  });

  test('do not open for anybody else', async () => {
    const file = await encrypted(Buffer.from('hello'));
    const stranger = ageDecryption([await generateX25519Identity()]);
    await expect(through(stranger, file)).rejects.toMatchObject({ code: 'age.identity' });
  });

  test('give out nothing that was changed, wherever it was changed', async () => {
    const plain = randomBytes(200_000);
    const file = await encrypted(plain);
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), async (place, bits) => {
        const altered = Buffer.from(file);
        altered[place] = (altered[place] ?? 0) ^ bits;
        await expect(decrypted(altered)).rejects.toMatchObject({ code: expect.stringMatching(/^age\./) });
      }),
      { numRuns: 60 },
    );
  });

  test('are not taken for whole when they are cut off, at the border of a chunk too', async () => {
    const file = await encrypted(randomBytes(200_000));
    const header = file.length - 200_000 - 4 * 16;
    for (const length of [0, 5, 100, header, header + 65_552, header + 131_104, file.length - 1]) {
      await expect(decrypted(file.subarray(0, length))).rejects.toMatchObject({
        code: expect.stringMatching(/^age\.(malformed|damaged)$/),
      });
    }
  });

  test('with something behind them are refused', async () => {
    const file = await encrypted(randomBytes(100));
    await expect(decrypted(Buffer.concat([file, Buffer.from('x')]))).rejects.toMatchObject({
      code: 'age.damaged',
    });
  });

  test('are made for recipients only', async () => {
    for (const to of [[], ['age1nonsense'], [IDENTITY], ['ssh-ed25519 AAAA']]) {
      await expect(ageEncryption(to)).rejects.toMatchObject({ code: 'age.recipient' });
    }
    expect(() => parseIdentities(`# public key: ${RECIPIENT}\n${RECIPIENT}\n`)).toThrow(/no age identities/);
    expect(parseIdentities(`# created\n${IDENTITY}\n`)).toEqual([IDENTITY]);
  });
});

describe.skipIf(spawnSync('age', ['--version']).status !== 0)('the program age (Debian: age)', () => {
  test('decrypts what is encrypted here, and the other way round', async () => {
    const directory = temporaryDir();
    const keyFile = join(directory, 'key.txt');
    const file = join(directory, 'file.age');
    writeFileSync(keyFile, `${IDENTITY}\n`);
    const plain = randomBytes(200_001);
    writeFileSync(file, await encrypted(plain));
    const theirs = spawnSync('age', ['-d', '-i', keyFile, file], { maxBuffer: 1e6 });
    expect(theirs.stdout.equals(plain)).toBe(true);
    const made = spawnSync('age', ['-r', RECIPIENT], { input: plain, maxBuffer: 1e6 });
    expect((await decrypted(made.stdout)).equals(plain)).toBe(true);
  });
});
