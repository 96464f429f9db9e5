import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { readArchive, writeArchive } from '../../daemon/evidence/archive.ts';
import { verifyEvidence } from '../../daemon/evidence/verify.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { EVIDENCE_LIMITS, isMemberName } from '../../daemon/formats/evidence.ts';

/* The tar as anybody may send it. */

type Entry = Partial<Header> & { name: string; body?: string };

async function tar(...entries: Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { body = '', ...header } of entries) archive.entry({ mtime: new Date(0), ...header }, body);
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const refused = async (bytes: Uint8Array): Promise<string> => {
  try {
    await readArchive(bytes);
    return 'accepted';
  } catch (error) {
    if (error instanceof BoundaryError) return `${error.code} ${error.message}`;
    throw error;
  }
};

const NAME = fc
  .array(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,20}(\.[a-z0-9]{1,5})?$/), {
    minLength: 1,
    maxLength: 5,
  })
  .map((parts) => parts.join('/'));

describe('what is written', () => {
  it('is read back, in order, and written again to the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(NAME, fc.uint8Array({ maxLength: 2_000 })), {
          minLength: 1,
          maxLength: 12,
          selector: ([name]) => name,
        }),
        async (files) => {
          const members = new Map(files);
          const bytes = await writeArchive(members);
          const back = await readArchive(bytes);
          expect([...back.keys()]).toEqual([...members.keys()]);
          for (const [name, content] of members)
            expect(Buffer.from(back.get(name) ?? '').equals(content)).toBe(true);
          expect(Buffer.from(await writeArchive(back)).equals(bytes)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('depends on no clock and no user', async () => {
    const members = new Map([['a', new Uint8Array([1])]]);
    const first = await writeArchive(members);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(Buffer.from(await writeArchive(members)).equals(first)).toBe(true);
  });
});

describe('what is refused', () => {
  it.each<[what: string, entries: Entry[]]>([
    ['a symbolic link', [{ name: 'a', type: 'symlink', linkname: '/etc/passwd' }]],
    ['a hard link', [{ name: 'a' }, { name: 'b', type: 'link', linkname: 'a' }]],
    ['a device', [{ name: 'a', type: 'character-device', devmajor: 1, devminor: 5 }]],
    ['a pipe', [{ name: 'a', type: 'fifo' }]],
    ['a directory', [{ name: 'a', type: 'directory' }]],
    ['a name that climbs', [{ name: 'a/../../b' }]],
    ['an absolute name', [{ name: '/etc/cron.d/a' }]],
    ['a hidden name', [{ name: '.ssh/authorized_keys' }]],
    ['a name with a control character', [{ name: 'a\nb' }]],
    ['a name with a backslash', [{ name: 'a\\b' }]],
    ['an endless name', [{ name: `${'a/'.repeat(400)}a` }]],
    [
      'the same name twice',
      [
        { name: 'a', body: '1' },
        { name: 'a', body: '2' },
      ],
    ],
    ['another owner', [{ name: 'a', uid: 1_000 }]],
    ['a mode that runs', [{ name: 'a', mode: 0o755 }]],
    ['another time', [{ name: 'a', mtime: new Date(1_000_000) }]],
  ])('%s', async (_what, entries) => {
    expect(await refused(await tar(...entries))).toMatch(/^evidence\.archive /);
  });

  it('bytes behind the end, or between', async () => {
    const bytes = Buffer.from(await writeArchive(new Map([['a', Buffer.from('x')]])));
    expect(await refused(Buffer.concat([bytes, Buffer.from('more')]))).toMatch(/^evidence\.archive/);
    expect(await refused(Buffer.concat([bytes, Buffer.alloc(512)]))).toMatch(/^evidence\.archive/);
    expect(await refused(Buffer.concat([bytes, bytes]))).toMatch(/^evidence\.archive/);
    bytes[512 + 100] = 1;
    expect(await refused(bytes)).toMatch(/^evidence\.archive/);
  });

  it('a file that says it is larger than anything', async () => {
    const bytes = await tar({ name: 'a', body: 'x' });
    bytes.write('77777777777', 124);
    expect(await refused(bytes)).toMatch(/^evidence\.archive/);
    expect(await refused(Buffer.alloc(EVIDENCE_LIMITS.bytes + 1))).toMatch(/^evidence\.archive/);
  });

  it('more files than evidence has', async () => {
    const many = Array.from({ length: EVIDENCE_LIMITS.members + 1 }, (_, at) => ({ name: `f${at}` }));
    expect(await refused(await tar(...many))).toContain(`more than ${EVIDENCE_LIMITS.members} files`);
  });

  it('what is no tar at all', async () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from('hello'),
      Buffer.alloc(512, 0xff),
      Buffer.alloc(10_240),
    ])
      expect(await refused(bytes)).toMatch(/^evidence\.archive/);
  });

  it('anything else, without falling over', async () => {
    const good = Buffer.from(
      await writeArchive(
        new Map([
          ['evidence.json', Buffer.from('{}')],
          ['SHA256SUMS', Buffer.from('x\n')],
        ]),
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        async (edits) => {
          const bytes = Buffer.from(good);
          for (const [at, value] of edits) bytes[at] = value;
          expect(await refused(bytes)).toMatch(/^(accepted|evidence\.archive)/);
        },
      ),
      { numRuns: 300 },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 4_096 }), async (bytes) => {
        expect(await refused(bytes)).toMatch(/^evidence\.archive/);
      }),
      { numRuns: 100 },
    );
  });
});

describe('the verifier, given anything', () => {
  const trust = { site: null, logs: [], policy: null, root: new Uint8Array() };

  it('finds something wrong with files of any content, and never throws', async () => {
    const names = fc.constantFrom(
      'evidence.json',
      'SHA256SUMS',
      'statement.dsse.json',
      'statement.json',
      'ledger/checkpoint',
      'entries/000000000000.json',
      'entries/000000000000.tlog-proof',
      'acts/000000000000.json',
    );
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => Buffer.from(text)),
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(names, content, { minKeys: 1 }), async (files) => {
        const found = await verifyEvidence(await writeArchive(new Map(Object.entries(files))), trust);
        expect(found.code).not.toBe(0);
        expect(found.findings.length).toBeGreaterThan(0);
      }),
      { numRuns: 150 },
    );
  });
});

describe('names', () => {
  it('that are accepted lead nowhere else', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (name) => {
        if (!isMemberName(name)) return;
        expect(name).not.toMatch(/^[/~.-]|\.\.|\/\/|[\s\\:*?"<>|]/);
      }),
    );
  });
});
