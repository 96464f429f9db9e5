import type { SignedActBody } from '../api/client.ts';
import { Decision as DecisionShape } from '../api/replies.ts';
import { compileCheck } from '../api/validate.ts';
import { type DecisionRecord, foldDecision } from '../core/fold.ts';
import { type ApprovalRequest, verifyRequest } from '../formats/approval-request.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { OpenedCheckpoint } from '../formats/checkpoint.ts';
import type { Json } from '../formats/json.ts';
import { isResolvedCall } from '../formats/permit.ts';
import { formatAct, type SignedAct } from '../formats/signed-act.ts';
import { renderStatement } from './render/act.ts';
import { say } from './render/output.ts';
import { type Checked, renderRequest } from './render/request.ts';
import {
  assertOpen,
  assertShown,
  buildAct,
  chosenGate,
  confirm,
  type SignRequest,
  signAct,
} from './sign-act.ts';
import { chooseSigner, type KeyOwner, type Signer } from './signer-role.ts';
import { openSigningKey, type SigningKey } from './ssh-key.ts';
import { logTrust, readTrustFile } from './trust.ts';

/** A request as the approver's machine reads it: folded from its entries, and checked if there was something to check it with. */
export interface OpenedRequest {
  request: ApprovalRequest;
  record: DecisionRecord;
  /** The verified checkpoint; null when there was no trust file. */
  checkpoint: OpenedCheckpoint | null;
}

/**
 * Opens a request: check it against the trust file if there is one → derive the decision from its entries. Throws
 * BoundaryError `request.*`, `trust.*` and those of checkpoints; nothing may be signed then.
 */
export function openRequest(request: ApprovalRequest, trustFile: string | undefined): OpenedRequest {
  const checkpoint = trustFile === undefined ? null : verified(request, trustFile);
  return { request, record: folded(request), checkpoint };
}

function verified(request: ApprovalRequest, trustFile: string): OpenedCheckpoint {
  const trust = readTrustFile(trustFile);
  const { site } = trust;
  if (site !== request.site) {
    throw new BoundaryError(
      'request.wrong_site',
      `The request is of site ${request.site}; the trust file is of ${site}. Nothing was signed. Take the trust file of that site.`,
    );
  }
  try {
    return verifyRequest(request, logTrust(trust));
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw new BoundaryError(
      cause.code,
      `The request is not what the ledger of ${site} holds: ${cause.message} Nothing was signed. Ask the site where it comes from.`,
      { cause },
    );
  }
}

/** The rules that fold entries trust what they read. Of a request that was not checked, anything may be wrong. */
function folded({ entries }: ApprovalRequest): DecisionRecord {
  try {
    const record = foldDecision(entries.map(({ index, entry }) => ({ index, entry })));
    compileCheck(DecisionShape)(record.decision);
    if (record.call === null || isResolvedCall(record.call as unknown as Json)) return record;
  } catch (cause) {
    throw notOurs(cause);
  }
  throw notOurs();
}

function notOurs(cause?: unknown): BoundaryError {
  return new BoundaryError(
    'request.shape',
    'What the request holds are no entries that a ledger of ours would. Nothing was signed.',
    { cause },
  );
}

/** A request in full, for people. */
export function renderOpened({ request, record, checkpoint }: OpenedRequest): string {
  const checked: Checked =
    checkpoint === null
      ? null
      : { origin: checkpoint.origin, size: checkpoint.size, entries: request.entries.length };
  return renderRequest(record, request, checked);
}

export type OfflineSignRequest = Omit<SignRequest, 'key'>;

/**
 * Signs a request where there is no site: what is shown must be what the digest binds → it must still wait → find out in
 * which role → show it in full → ask → sign → check the own signature. Throws BoundaryError `sign.*`, `role.*`, `key.*`.
 */
export async function signRequest(
  opened: OpenedRequest,
  wanted: OfflineSignRequest,
  keyNamed: string,
): Promise<SignedActBody> {
  const key = await openSigningKey(keyNamed);
  const act = prepareAct(opened, wanted, key);
  if (!wanted.yes) await confirm();
  return signAct(act, key);
}

/** The exact text for `ssh-keygen -Y sign` to sign, shown in words first. Without a key the role must be clear. */
export async function actToSign(
  opened: OpenedRequest,
  wanted: OfflineSignRequest,
  keyNamed: string | undefined,
): Promise<{ text: string; act: SignedAct }> {
  const key = keyNamed === undefined ? null : await openSigningKey(keyNamed);
  const act = prepareAct(opened, wanted, key);
  return { text: formatAct(act), act };
}

function prepareAct(opened: OpenedRequest, wanted: OfflineSignRequest, key: SigningKey | null): SignedAct {
  const { request, record, checkpoint } = opened;
  const { decision } = record;
  assertShown(decision, request.decision);
  assertOpen(decision, wanted.kind);
  assertClock(request);
  const signer = signerFrom(opened, wanted, key?.fingerprint ?? null);
  const act = buildAct(decision, {
    ...wanted,
    site: request.site,
    role: signer.role,
    gate: chosenGate(decision, wanted, signer.role),
    ttlSeconds: wanted.ttlSeconds ?? patience(decision.expires_at),
    seen: checkpoint?.text ?? null,
  });
  say(`${renderOpened(opened)}\n${renderStatement(act, decision, signer)}`);
  return act;
}

/** The site's own list is advice: a key that is not on it may still count, in a role that its owner must then name. */
function signerFrom(
  { request, record }: OpenedRequest,
  wanted: OfflineSignRequest,
  fingerprint: string | null,
): Signer {
  const known = request.signers.find(({ keys }) => fingerprint !== null && keys.includes(fingerprint));
  const owner: KeyOwner = known === undefined ? 'untold' : { id: known.principal, roles: known.roles };
  return chooseSigner(record.decision, fingerprint, wanted, owner);
}

const CLOCK_TOLERANCE_MS = 5 * 60_000;

/** A signature dated before what it is about would be refused at the site; a dead battery is better noticed here. */
function assertClock({ entries }: ApprovalRequest): void {
  const newest = Math.max(...entries.map(({ entry }) => Date.parse(entry.at)));
  if (Date.now() >= newest - CLOCK_TOLERANCE_MS) return;
  throw new BoundaryError(
    'sign.clock_behind',
    `This machine's clock (${new Date().toISOString()}) is behind the request, which was recorded at ${new Date(newest).toISOString()}. Nothing was signed. Set the clock and repeat.`,
  );
}

const MARGIN_SECONDS = 600;
const DAY_SECONDS = 86_400;
const WEEK_SECONDS = 7 * DAY_SECONDS;

/** As long as the decision waits, with a margin for clocks that differ: the way back may be long. */
function patience(expiresAt: string | null): number {
  if (expiresAt === null) return DAY_SECONDS;
  const left = Math.ceil((Date.parse(expiresAt) - Date.now()) / 1000);
  return Math.min(Math.max(left, 0) + MARGIN_SECONDS, WEEK_SECONDS);
}
