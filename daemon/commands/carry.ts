import { createInterface } from 'node:readline/promises';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { FrameKind } from '../formats/qr-frames.ts';
import { assertFree, removeWritten, writeNew } from './new-file.ts';
import { print, say } from './render/output.ts';

/** Where something goes that is to be carried: a file, QR codes as pictures, QR codes on the screen. */
export interface Outlets {
  out?: string;
  png?: string;
  qr?: boolean;
}

/** Whether anything is to be written at all. */
export function hasOutlet({ out, png, qr }: Outlets): boolean {
  return out !== undefined || png !== undefined || qr === true;
}

/** Refuses, before anything is asked or signed, outlets that are taken. Throws BoundaryError `file.*`, `png.name`. */
export function assertOutlets({ out, png }: Outlets): void {
  if (out !== undefined) assertFree(out);
  if (png === undefined) return;
  if (!png.endsWith('.png')) {
    throw new BoundaryError('png.name', 'Write --png as the name of a .png file; nothing was done.', {
      at: '--png',
    });
  }
  assertFree(png);
}

/**
 * Writes the text to every outlet. Returns the files that were written, in order. Files hold nothing secret, but they
 * are their owner's business: mode 0600.
 */
export async function carry(kind: FrameKind, text: string, outlets: Outlets): Promise<string[]> {
  const files: string[] = [];
  const write = (path: string, content: string | Uint8Array): void => {
    try {
      writeNew(path, content);
    } catch (error) {
      // A half set of codes is of no use, and would be in the way of the whole one.
      removeWritten(files);
      throw error;
    }
    files.push(path);
  };
  if (outlets.out !== undefined) write(outlets.out, `${text}\n`);
  if (outlets.png === undefined && outlets.qr !== true) return files;
  const { codeAsPng, codeAsText, framesOf } = await import('../host/qr-code.ts');
  const content = new TextEncoder().encode(text);
  if (outlets.png !== undefined) {
    const frames = framesOf(kind, content, 'paper');
    const names = frames.map((_, index) => numbered(outlets.png ?? '', index + 1, frames.length));
    for (const name of names) assertFree(name);
    for (const [index, frame] of frames.entries()) write(names[index] ?? '', codeAsPng(frame));
  }
  if (outlets.qr === true) await showCodes(framesOf(kind, content, 'terminal').map(codeAsText));
  return files;
}

/** `request.png`, or `request-2of3.png` where one code is not enough. */
function numbered(png: string, number: number, of: number): string {
  return of === 1 ? png : png.replace(/\.png$/, `-${number}of${of}.png`);
}

/** One code after the other; at a terminal the next comes when the reader is ready for it. */
async function showCodes(codes: readonly string[]): Promise<void> {
  for (const [index, code] of codes.entries()) {
    print(`QR code ${index + 1} of ${codes.length}\n${code}`);
    if (index + 1 < codes.length) await nextCode();
  }
}

async function nextCode(): Promise<void> {
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true) return;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  await prompt.question('Scan it, then press Enter for the next. ').finally(() => prompt.close());
}

/** Says what was written, on stderr: stdout belongs to the result. */
export function sayWritten(files: readonly string[]): void {
  if (files.length > 0) say(`Wrote ${files.join(', ')}`);
}
