import { BoundaryError } from './boundary-error.ts';
import { type Checkpoint, type CheckpointTrust, openCheckpoint, parseCheckpoint } from './checkpoint.ts';
import {
  cosignatureLine,
  formatVkey,
  type NoteSigner,
  openNote,
  parseNote,
  parseVkey,
  TYPE_COSIGNATURE,
  type Vkey,
} from './signed-note.ts';

/*
 * Cosignatures (C2SP tlog-cosignature, type 0x04, over the message in `signed-note.ts`): what a witness says about a checkpoint.
 * Signatures of other types, ML-DSA-44 (0x06) among them, are by keys that nobody here knows, and so are passed over.
 */

/** A cosigned checkpoint as it is carried: the note with some signature lines. */
export const COSIGNED_MAX_BYTES = 32 * 1024;
/** The end of the year 9999: what RFC 3339 can say. A witness whose clock is behind that says nothing about a time. */
const TIME_MAX = 253_402_300_799;
/** Lines in one answer of a witness: one for each of its keys. */
const ANSWER_MAX_LINES = 16;

/** A witness's word that this checkpoint continues everything of that log that it saw before. */
export interface Cosignature {
  /** Name of the witness's key. */
  witness: string;
  /** Text of its vkey (type 0x04). */
  vkey: string;
  /** Unix seconds, by the witness's clock. */
  time: number;
  /** Its signature line, final newline included. */
  line: string;
}

/** A checkpoint that its log signed, with what is known of its cosignatures. */
export interface CosignedCheckpoint extends Checkpoint {
  /** The signed text, byte for byte. */
  text: string;
  /** The lines of the log's own signatures. */
  logLines: string[];
  /** Those that hold, one for each witness: its newest. */
  cosignatures: Cosignature[];
  /** Names of known witnesses whose line does not verify: damaged, or forged. */
  bad: string[];
  /** Lines by keys that are not among the known ones. */
  unknown: number;
}

/** Signs for a witness with the key of any note signer: the same key material under its name as a key of type 0x04. */
export function witnessSigner({ name, vkey, sign }: NoteSigner): NoteSigner {
  return { name, vkey: formatVkey(name, parseVkey(vkey).publicKey, TYPE_COSIGNATURE), sign };
}

/** The note with one more cosignature at its end. The caller has verified the note, and remembered that it cosigns it. */
export function cosign(note: string, signer: NoteSigner, time: number): string {
  return note + cosignatureLine(parseNote(note).text, signer, time);
}

/**
 * Opens a cosigned checkpoint: signed by its log, and which of the known witnesses cosigned it. Unlike `openNote` it
 * judges each line by itself: whoever carries a note can append to it, and must not be able to spoil what others signed.
 *
 * Throws `BoundaryError` `note.*`, `checkpoint.*` when the log itself does not stand behind it.
 */
export function openCosigned(
  note: string | Uint8Array,
  { log, witnesses }: { log: CheckpointTrust; witnesses: readonly Vkey[] },
): CosignedCheckpoint {
  if (note.length > COSIGNED_MAX_BYTES) throw malformed(`has more than ${COSIGNED_MAX_BYTES} bytes`);
  const { text } = parseNote(note);
  const lines = linesOf(note);
  const logLines = lines.filter((line) => attempt(() => openCheckpoint(join(text, [line]), log)) !== null);
  const { origin, size, root } = openCheckpoint(logLines.length === 0 ? note : join(text, logLines), log);
  const newest = new Map<string, Cosignature>();
  const bad = new Set<string>();
  let unknown = 0;
  for (const line of lines.filter((one) => !logLines.includes(one))) {
    const cosignature = cosignatureOf(text, line, witnesses);
    if (cosignature === null) unknown += 1;
    else if (typeof cosignature === 'string') bad.add(cosignature);
    else if (cosignature.time >= (newest.get(cosignature.vkey)?.time ?? 0))
      newest.set(cosignature.vkey, cosignature);
  }
  return { origin, size, root, text, logLines, cosignatures: [...newest.values()], bad: [...bad], unknown };
}

/** The note of a checkpoint with these cosignatures and no other lines. */
export function formatCosigned(
  { text, logLines }: Pick<CosignedCheckpoint, 'text' | 'logLines'>,
  cosignatures: readonly Pick<Cosignature, 'line'>[],
): string {
  return join(text, [...logLines, ...cosignatures.map(({ line }) => line)]);
}

/** One note with the signature lines of all of them, each once, in order. They must be of one text: else a RangeError. */
export function mergeNotes(notes: readonly string[]): string {
  const [first, ...others] = notes.map((note) => parseNote(note).text);
  if (first === undefined || others.some((text) => text !== first))
    throw new RangeError('notes of different checkpoints cannot become one');
  return join(first, [...new Set(notes.flatMap(linesOf))]);
}

/**
 * A witness's answer to `add-checkpoint` appended to the checkpoint that it was asked about (C2SP tlog-witness: "the
 * client MAY concatenate it to the checkpoint"). Nothing is verified but the form. Throws `BoundaryError`
 * `cosignature.malformed`.
 */
export function appendAnswer(checkpoint: string, answer: string): string {
  const lines = answer.endsWith('\n') ? answer.slice(0, -1).split('\n') : [];
  if (lines.length === 0 || lines.length > ANSWER_MAX_LINES)
    throw malformed(`is not 1 to ${ANSWER_MAX_LINES} signature lines`);
  const { text } = parseNote(checkpoint);
  const note = checkpoint + answer;
  try {
    if (note.length <= COSIGNED_MAX_BYTES && parseNote(note).text === text) return note;
  } catch (cause) {
    throw malformed('has a line that is no signature', cause);
  }
  throw malformed('is too long, or has a blank line');
}

/** Size in a checkpoint note's text, its signatures unverified. Throws `BoundaryError` `note.*`, `checkpoint.malformed`. */
export function notedHead(note: string | Uint8Array): Checkpoint {
  return parseCheckpoint(parseNote(note).text);
}

/** `<size>-<who>.note`: where a cosigned checkpoint lies in an inbox or on media. */
export function cosignedName(size: number, who: string): string {
  const safe = who.replace(/[^A-Za-z0-9.-]/g, '_').slice(0, 80);
  return `${size}-${safe}.note`;
}

/** What `cosignedName` makes, and what others may call such a file. */
export const COSIGNED_NAME = /^(0|[1-9]\d{0,15})-[A-Za-z0-9._-]{1,120}\.note$/;

/** A signature line by a known witness: verified, or the name of whom it falsely claims to be by; null for anybody else's. */
function cosignatureOf(text: string, line: string, witnesses: readonly Vkey[]): Cosignature | string | null {
  const { name, keyId } = signatureOn(line);
  const vkey = witnesses.find((one) => one.name === name && one.keyId === keyId);
  if (vkey === undefined) return null;
  const time = attempt(() => openNote(join(text, [line]), [vkey]))?.verified[0]?.timestamp ?? null;
  return time === null || time > TIME_MAX ? name : { witness: name, vkey: vkey.text, time, line };
}

/** Null where what is looked at does not hold. */
function attempt<T>(open: () => T): T | null {
  try {
    return open();
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function signatureOn(line: string): { name: string; keyId: string } {
  const [signature] = parseNote(join('\n', [line])).signatures;
  if (signature === undefined) throw malformed('has a line that is no signature');
  return signature;
}

/** The signature lines of a note that `parseNote` accepts, each with its newline. */
function linesOf(note: string | Uint8Array): string[] {
  const whole = typeof note === 'string' ? note : new TextDecoder('utf-8', { ignoreBOM: true }).decode(note);
  const block = whole.slice(whole.lastIndexOf('\n\n') + 2);
  return block
    .slice(0, -1)
    .split('\n')
    .map((line) => `${line}\n`);
}

function join(text: string, lines: readonly string[]): string {
  return `${text}\n${lines.join('')}`;
}

function malformed(what: string, cause?: unknown): BoundaryError {
  return new BoundaryError('cosignature.malformed', `The cosigned checkpoint ${what}.`, { cause });
}
