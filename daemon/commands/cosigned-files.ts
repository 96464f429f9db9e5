import { BoundaryError } from '../formats/boundary-error.ts';
import { COSIGNED_MAX_BYTES } from '../formats/cosignature.ts';
import { isFrame } from '../formats/qr-frames.ts';
import { readBounded } from '../host/durable-file.ts';
import { isPng, PICTURE_MAX_BYTES } from '../host/picture.ts';
import { readText } from './access.ts';

/* Cosigned checkpoints in whatever form they were carried: as files, or in QR codes, as pictures or as text. */

/** A cosigned checkpoint as text, or why there is none. */
export type CarriedNote = { file: string } & ({ note: string } | { error: BoundaryError });

/** Reads each file; the QR codes of all of them together, in any order. What cannot be read is told for each. */
export async function readCosigned(files: readonly string[]): Promise<CarriedNote[]> {
  const found: CarriedNote[] = [];
  const frames: { file: string; frame: string }[] = [];
  for (const file of files) {
    try {
      const shown = await framesIn(file);
      if (shown === null) found.push({ file, note: readNote(file) });
      else frames.push(...shown.map((frame) => ({ file, frame })));
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      found.push({ file, error });
    }
  }
  for (const pieces of Map.groupBy(frames, ({ frame }) => frame.split('.', 3).join('.')).values())
    found.push(await joined(pieces));
  return found;
}

function readNote(file: string): string {
  const note = readText(file, COSIGNED_MAX_BYTES);
  if (note.trim() !== '') return note;
  throw new BoundaryError(
    'cosignature.empty',
    'There is nothing in it, so nothing was taken in. It was perhaps cut off on its way: fetch it from the witness again.',
    { at: file },
  );
}

/** QR frames in a picture or in text; null when it is neither. */
async function framesIn(file: string): Promise<string[] | null> {
  if (file === '-') return null;
  const bytes = readBounded(file, PICTURE_MAX_BYTES);
  if (isPng(bytes)) return (await import('../host/qr-code.ts')).framesInPng(bytes);
  const text = Buffer.from(bytes.subarray(0, COSIGNED_MAX_BYTES)).toString('latin1');
  if (!isFrame(text.trimStart())) return null;
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

async function joined(pieces: readonly { file: string; frame: string }[]): Promise<CarriedNote> {
  const file = [...new Set(pieces.map((piece) => piece.file))].join(', ');
  const { contentOf } = await import('../host/qr-code.ts');
  try {
    const { kind, content } = contentOf(pieces.map(({ frame }) => frame));
    if (kind === 'C') return { file, note: Buffer.from(content).toString('utf8') };
    const message = 'The QR codes hold something else than a cosigned checkpoint.';
    return { file, error: new BoundaryError('cosignature.other_kind', message) };
  } catch (error) {
    if (error instanceof BoundaryError) return { file, error };
    throw error;
  }
}
