import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Fetcher } from 'tuf-js';
import { DownloadHTTPError, DownloadLengthMismatchError } from 'tuf-js/dist/error.js';

/**
 * Plain HTTP for tests, with the limits that TUF asks for and no timers: the suite runs clients under a forged clock, where
 * a timeout may fire at once or never.
 */
export class HttpFetcher implements Fetcher {
  async downloadBytes(url: string, max: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of limited(url, max)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async downloadFile<T>(url: string, max: number, handler: (file: string) => Promise<T>): Promise<T> {
    const dir = await mkdtemp(join(tmpdir(), 'tuf-client-'));
    try {
      const file = join(dir, 'target');
      await pipeline(limited(url, max), createWriteStream(file));
      return await handler(file);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
}

/** The body of a 200, given up at the first byte too many. */
async function* limited(url: string, max: number): AsyncGenerator<Buffer> {
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    get(url, { agent: false }, resolve).on('error', reject);
  });
  if (response.statusCode !== 200) {
    response.destroy();
    throw new DownloadHTTPError(`${url}: HTTP ${response.statusCode}`, response.statusCode ?? 0);
  }
  let length = 0;
  for await (const chunk of response) {
    length += (chunk as Buffer).length;
    if (length > max) throw new DownloadLengthMismatchError(`${url} is larger than ${max} bytes`);
    yield chunk as Buffer;
  }
}
