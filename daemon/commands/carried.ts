import type { SignedActBody } from '../api/client.ts';
import { type ApprovalRequest, isRequest, parseRequest } from '../formats/approval-request.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Json } from '../formats/json.ts';
import { isFrame } from '../formats/qr-frames.ts';
import { actNamespace, parseAct } from '../formats/signed-act.ts';
import { verifySshSignature } from '../formats/sshsig.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { readBounded } from '../host/durable-file.ts';
import { isPng, PICTURE_MAX_BYTES } from '../host/picture.ts';

/* What crosses the gap: requests for approval one way, signed acts the other, as files, in QR codes, or as ssh-keygen leaves them. */

/** An act and its signature as they were carried; whether they belong together only the signature check tells. */
export type SignedText = SignedActBody;

/** One thing that was carried, or why it cannot be used; `from` are the files that held it. */
export type Carried = { from: string[] } & (
  | { is: 'request'; request: ApprovalRequest }
  | { is: 'signed'; signed: SignedText }
  | { is: 'unusable'; error: BoundaryError }
);

/** A file by itself: some need others beside them. */
type Piece = { from: string } & (
  | { is: 'frames'; frames: string[] }
  | { is: 'request'; bytes: Uint8Array }
  | { is: 'signed'; signed: SignedText }
  | { is: 'act'; text: string }
  | { is: 'armor'; text: string }
  | { is: 'unusable'; error: BoundaryError }
);

const ARMOR_HEAD = '-----BEGIN SSH SIGNATURE-----';
/** An act and its signature, JSON's escapes included. */
const SIGNED_MAX_BYTES = 256 * 1024;

/**
 * Reads files in whatever form they were carried: requests, signed acts, pictures and texts of QR codes (in any order,
 * several to a picture), and acts with the signature that `ssh-keygen -Y sign` left beside them. Never throws for what a
 * file holds: that is told for each.
 */
export async function readCarried(paths: readonly string[]): Promise<Carried[]> {
  const pieces = await Promise.all(paths.map(readPiece));
  return [...pieces.flatMap(complete), ...(await joined(pieces)), ...paired(pieces)];
}

async function readPiece(from: string): Promise<Piece> {
  try {
    const bytes = readBounded(from, PICTURE_MAX_BYTES);
    if (!isPng(bytes)) return { from, ...pieceOf(bytes) };
    const { framesInPng } = await import('../host/qr-code.ts');
    return { from, is: 'frames', frames: await framesInPng(bytes) };
  } catch (error) {
    if (error instanceof BoundaryError) return { from, is: 'unusable', error };
    throw error;
  }
}

type Content = Piece extends infer P ? (P extends Piece ? Omit<P, 'from'> : never) : never;

function pieceOf(bytes: Uint8Array): Content {
  const text = textOf(bytes);
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const [first = ''] = lines;
  if (isFrame(first)) return { is: 'frames', frames: lines.filter((line) => line !== '') };
  if (first === ARMOR_HEAD) return { is: 'armor', text };
  if (isRequest(bytes)) return { is: 'request', bytes };
  if (isActText(text)) return { is: 'act', text };
  return { is: 'signed', signed: signedOf(text) };
}

function textOf(bytes: Uint8Array): string {
  if (bytes.length <= SIGNED_MAX_BYTES * 2) {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      // Falls through: it is nothing of ours.
    }
  }
  throw unknown();
}

/** An act alone is canonical: its first member in order is `answer`. */
export function isActText(text: string): boolean {
  return text.startsWith('{"answer":');
}

/** `{"act": "<canonical JSON text>", "signature": "<armor>"}`. Throws BoundaryError `carried.unknown`. */
export function signedOf(text: string): SignedText {
  let value: Json;
  try {
    value = parseStrict(text, { maxBytes: SIGNED_MAX_BYTES, maxDepth: 2 });
  } catch (cause) {
    if (cause instanceof BoundaryError) throw unknown(cause);
    throw cause;
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw unknown();
  const { act, signature, id_token: token, ...rest } = value;
  if (typeof act !== 'string' || typeof signature !== 'string' || Object.keys(rest).length > 0)
    throw unknown();
  if (token === undefined) return { act, signature };
  if (typeof token !== 'string') throw unknown();
  return { act, signature, id_token: token };
}

function unknown(cause?: BoundaryError): BoundaryError {
  return new BoundaryError(
    'carried.unknown',
    'It holds neither a request for approval, nor a signed act, nor a QR code of ours.',
    { cause },
  );
}

function complete(piece: Piece): Carried[] {
  const from = [piece.from];
  if (piece.is === 'signed' || piece.is === 'unusable') return [{ ...piece, from }];
  if (piece.is !== 'request') return [];
  return [attempt(from, () => ({ is: 'request', request: parseRequest(piece.bytes) }))];
}

type Found = { is: 'request'; request: ApprovalRequest } | { is: 'signed'; signed: SignedText };

function attempt(from: string[], find: () => Found): Carried {
  try {
    return { from, ...find() };
  } catch (error) {
    if (error instanceof BoundaryError) return { from, is: 'unusable', error };
    throw error;
  }
}

/** Frames of all files together: each thing's are told by the head that they share. */
async function joined(pieces: readonly Piece[]): Promise<Carried[]> {
  const things = new Map<string, { from: Set<string>; frames: string[] }>();
  for (const piece of pieces) {
    if (piece.is !== 'frames') continue;
    for (const frame of piece.frames) {
      const head = frame.split('.', 3).join('.');
      const thing = things.get(head) ?? { from: new Set(), frames: [] };
      things.set(head, thing);
      thing.from.add(piece.from);
      thing.frames.push(frame);
    }
  }
  if (things.size === 0) return [];
  const { contentOf } = await import('../host/qr-code.ts');
  return [...things.values()].map(({ from, frames }) =>
    attempt([...from], () => {
      const { kind, content } = contentOf(frames);
      if (kind === 'R') return { is: 'request', request: parseRequest(content) };
      return { is: 'signed', signed: signedOf(textOf(content)) };
    }),
  );
}

/** Acts with their signatures, `NAME` with `NAME.sig`; a single pair may be called anything. */
function paired(pieces: readonly Piece[]): Carried[] {
  const acts = pieces.filter((piece) => piece.is === 'act');
  const armors = pieces.filter((piece) => piece.is === 'armor');
  const single = acts.length === 1 && armors.length === 1 ? armors[0] : undefined;
  const used = new Set<string>();
  const found = acts.map((act): Carried => {
    const armor = armors.find(({ from }) => from === `${act.from}.sig`) ?? single;
    if (armor === undefined) return unusable(act.from, `its signature is missing: name ${act.from}.sig too`);
    used.add(armor.from);
    return { from: [act.from, armor.from], is: 'signed', signed: { act: act.text, signature: armor.text } };
  });
  const alone = armors.filter(({ from }) => !used.has(from));
  return [
    ...found,
    ...alone.map(({ from }) => unusable(from, 'the act that it signs is missing: name that file too')),
  ];
}

function unusable(from: string, what: string): Carried {
  const error = new BoundaryError('carried.unpaired', `${what[0]?.toUpperCase()}${what.slice(1)}.`, {
    at: from,
  });
  return { from: [from], is: 'unusable', error };
}

/** The one request that files hold. Throws the BoundaryError of the first that cannot be used, `carried.not_one`. */
export async function readRequest(paths: readonly string[]): Promise<ApprovalRequest> {
  const carried = await readCarried(paths);
  for (const one of carried) if (one.is === 'unusable') throw naming(one);
  const [request, ...more] = carried;
  if (request?.is === 'request' && more.length === 0) return request.request;
  throw new BoundaryError(
    'carried.not_one',
    'The files hold not exactly one request for approval; nothing was signed. Name the files of one request.',
  );
}

/** The same complaint with the files that it is about. */
export function naming({ from, error }: Extract<Carried, { is: 'unusable' }>): BoundaryError {
  const at = from.join(', ');
  const place = error.message.includes(at) ? '' : `${at}: `;
  return new BoundaryError(error.code, `${place}${error.message} Nothing was done with it.`, {
    at,
    cause: error,
  });
}

/** Whether a signature belongs to its act, whoever made it. */
export function belongsTogether({ act, signature }: SignedText): boolean {
  const { kind } = parseAct(act);
  const message = new TextEncoder().encode(act);
  return verifySshSignature({ armor: signature, message, namespace: actNamespace(kind) }).ok;
}
