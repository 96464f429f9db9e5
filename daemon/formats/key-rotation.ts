import { BoundaryError } from './boundary-error.ts';
import { parseDecimal } from './checkpoint.ts';
import { currentLog, type LogLineage, newestKey, rotated } from './log-keys.ts';
import { type NoteSigner, openNote, parseVkey, signNote } from './signed-note.ts';

/** First line of a statement. No log can be called so: a statement never passes for a checkpoint, nor the other way round. */
const STATEMENT = 'holdfast/key-rotation/v1';

/**
 * That a log changes its key: the new one signs the checkpoint of `size` and all after it, the old one those before. A
 * signed note (C2SP signed-note) of five lines, signed by both keys: the old one vouches for the new one, and the new one
 * shows that it is in hand.
 */
export interface KeyRotation {
  origin: string;
  size: number;
  /** vkeys. */
  old: string;
  new: string;
}

/** The statement, signed by both. `size` counts the entry that it is recorded in. */
export function signRotation(
  { origin, size }: Pick<KeyRotation, 'origin' | 'size'>,
  old: NoteSigner,
  next: NoteSigner,
): string {
  return signNote(`${STATEMENT}\n${origin}\n${size}\n${old.vkey}\n${next.vkey}\n`, [old, next]);
}

/**
 * Reads a statement and verifies both signatures. Whether the old key may be believed is the caller's question. Throws
 * `BoundaryError` `key_rotation.malformed`, `key_rotation.unsigned`, and those of notes and vkeys.
 */
export function openRotation(note: string): KeyRotation {
  const [statement, origin, size, old, next] = note.split('\n', 5);
  const counted = parseDecimal(size ?? '');
  if (statement !== STATEMENT || !origin || !old || !next || counted === null || counted < 1)
    throw malformed('is not one');
  if (old === next || [old, next].some((vkey) => parseVkey(vkey).name !== origin))
    throw malformed('does not name two keys of its log');
  const { text, verified } = openNote(note, [old, next]);
  if (text !== `${STATEMENT}\n${origin}\n${size}\n${old}\n${next}\n`)
    throw malformed('says more than it may');
  if (verified.length !== 2)
    throw new BoundaryError('key_rotation.unsigned', 'The key rotation is not signed by both keys.');
  return { origin, size: counted, old, new: next };
}

/**
 * The log with those of the statements that lead on from its newest key, one after the other. Each is believed because the
 * key before signed it, wherever it was found; one that leads nowhere, or backwards, is left out.
 */
export function followRotations(log: LogLineage, statements: readonly string[]): LogLineage {
  let followed = log;
  for (const note of statements) {
    const statement = readable(note);
    const newest = newestKey(followed);
    if (statement === null || statement.origin !== log.origin || newest.until !== null) continue;
    if (statement.old !== newest.vkey || statement.size <= newest.from + 1) continue;
    if (followed.keys.some(({ vkey }) => vkey === statement.new)) continue;
    followed = rotated(followed, { vkey: statement.new, size: statement.size, rotation: note });
  }
  return followed;
}

/** The same for the newest of a site's logs, which alone can go on. */
export function followInLogs(logs: readonly LogLineage[], statements: readonly string[]): LogLineage[] {
  return [...logs.slice(0, -1), followRotations(currentLog(logs), statements)];
}

function readable(note: string): KeyRotation | null {
  try {
    return openRotation(note);
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function malformed(what: string): BoundaryError {
  return new BoundaryError('key_rotation.malformed', `The key rotation ${what}.`);
}
