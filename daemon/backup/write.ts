import { createHash } from 'node:crypto';
import { closeSync, constants, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress, constants as zlib } from 'node:zlib';
import { pack } from 'tar-stream';
import { ageEncryption } from '../host/age.ts';
import { type BackupSource, backupContents, type Member } from './contents.ts';
import type { Manifest } from './manifest.ts';

/** A backup that was written, under its temporary name still. */
export interface WrittenBackup {
  /** Hex SHA-256 of the file. */
  digest: string;
  /** Bytes of the file, and of what is in it. */
  size: number;
  plain: number;
  ledger: Manifest['ledger'];
}

/** 1970: nothing in the tar depends on a clock. */
const FIXED = { mode: 0o600, uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) } as const;
/** Level 3 is zstd's own choice; more would be slower than the disks. */
const COMPRESSION = {
  params: { [zlib.ZSTD_c_compressionLevel]: 3, [zlib.ZSTD_c_checksumFlag]: 1 },
  chunkSize: 1024 * 1024,
};

/**
 * Writes a backup of a site to `path`, which must not exist: contents → tar → zstd → age → file, synced. Nothing of it is
 * on the disk unencrypted at any moment. `onProgress` gets the plain bytes so far. Removes what it began when it fails.
 * Throws `BoundaryError` `age.recipient`, those of `backupContents`, or the system's error.
 */
export async function writeBackup(
  source: BackupSource,
  recipients: readonly string[],
  path: string,
  onProgress: (bytes: number) => void = () => {},
): Promise<WrittenBackup> {
  const encryption = await ageEncryption(recipients);
  const file = new HashedFile(path);
  try {
    const archive = pack();
    const fed = feed(archive, source, onProgress);
    // Its failure ends the pipeline, which is where it is heard.
    fed.catch((error: Error) => archive.destroy(error));
    await pipeline(archive, createZstdCompress(COMPRESSION), encryption, file);
    const { ledger, plain } = await fed;
    return { digest: file.digest(), size: file.size, plain, ledger };
  } catch (error) {
    file.destroy();
    unlinkSync(path);
    throw error;
  }
}

async function feed(
  archive: ReturnType<typeof pack>,
  source: BackupSource,
  onProgress: (bytes: number) => void,
): Promise<{ ledger: Manifest['ledger']; plain: number }> {
  const contents = backupContents(source);
  let plain = 0;
  for (let next = contents.next(); ; next = contents.next()) {
    if (next.done === true) {
      archive.finalize();
      return { ledger: next.value, plain };
    }
    await put(archive, next.value);
    plain += next.value.bytes.length;
    onProgress(plain);
  }
}

/** Resolves when there is room for more. */
function put(archive: ReturnType<typeof pack>, { name, bytes }: Member): Promise<void> {
  return new Promise((resolve, reject) => {
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const member = archive.entry({ name, size: whole.length, ...FIXED }, whole, (error?: Error | null) =>
      error ? reject(error) : resolve(),
    );
    // The pipeline ends it when the file behind it cannot be written.
    member.on('error', reject);
  });
}

/** A new file, hashed as it is written, and on the disk when the stream has ended. */
class HashedFile extends Writable {
  size = 0;
  readonly #hash = createHash('sha256');
  readonly #fd: number;
  #open = true;

  constructor(path: string) {
    super({ highWaterMark: 4 * 1024 * 1024 });
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
    this.#fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  }

  digest(): string {
    return this.#hash.digest('hex');
  }

  override _write(piece: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    try {
      this.#hash.update(piece);
      for (let written = 0; written < piece.length; )
        written += writeSync(this.#fd, piece, written, piece.length - written);
      this.size += piece.length;
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _final(done: (error?: Error | null) => void): void {
    try {
      fsyncSync(this.#fd);
      this.#close();
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#close();
    done(error);
  }

  #close(): void {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
  }
}
