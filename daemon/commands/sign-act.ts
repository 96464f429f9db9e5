import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import { type ApiClient, ApiProblem, type SignedActBody } from '../api/client.ts';
import type { Decision } from '../core/decision.ts';
import { gateDigest, openExceptions } from '../core/exception.ts';
import { checkLifecycle } from '../core/lifecycle.ts';
import { REFUSALS } from '../core/refusal.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { openCheckpoint } from '../formats/checkpoint.ts';
import { actionDigest } from '../formats/permit.ts';
import { type ActKind, actNamespace, formatAct, type SignedAct } from '../formats/signed-act.ts';
import { verifySshSignature } from '../formats/sshsig.ts';
import type { Site } from './access.ts';
import { renderAct } from './render/act.ts';
import { say } from './render/output.ts';
import { signerOf } from './signer-role.ts';
import { ownLogTrust } from './site.ts';
import { openSigningKey, type SigningKey } from './ssh-key.ts';

/** What somebody wants to say, signed, about a decision. */
export interface SignRequest {
  kind: Extract<ActKind, 'approval' | 'exception' | 'review' | 'reconcile'>;
  answer: string;
  reason: string;
  /** Path of the SSH key. */
  key: string;
  role: string | undefined;
  /** Sign without asking again on a terminal. */
  yes: boolean;
  ttlSeconds?: number;
  /** Of an exception: the gate it is for; absent where only one waits for the signer's role. */
  gate?: string;
}

/** A signed act is for submitting now; long enough for a walk to the other machine. */
const DEFAULT_TTL_SECONDS = 3_600;
const NONCE_BYTES = 16;

/**
 * Signs an act about a decision, the careful way round: fetch it → check that what it shows is what its digest binds →
 * find out in which role → say in words what is about to be signed → sign → check the own signature.
 * Submits nothing. Throws BoundaryError `sign.*`, `role.*`, `key.*`.
 */
export async function signAbout(
  client: ApiClient,
  site: Site,
  id: string,
  request: SignRequest,
): Promise<SignedActBody> {
  const decision = await client.getDecision(id);
  assertShown(decision, id);
  assertOpen(decision, request.kind);
  const key = await openSigningKey(request.key);
  const signer = await signerOf(client, decision, key.fingerprint, request);
  const act = buildAct(decision, {
    ...request,
    site: site.config.site,
    role: signer.role,
    gate: chosenGate(decision, request, signer.role),
    ttlSeconds: request.ttlSeconds ?? DEFAULT_TTL_SECONDS,
    seen: await seenCheckpoint(client, site),
  });
  say(renderAct(act, decision, signer));
  if (!request.yes) await confirm();
  return signAct(act, key);
}

/** The words on the screen must be what the digest binds; else whoever shows them could get anything signed. */
export function assertShown(decision: Decision, id: string): void {
  if (decision.decision_id === id && digestShown(decision) === decision.action_digest) return;
  throw new BoundaryError(
    'sign.not_as_shown',
    'The action that is shown does not match its digest. Nothing was signed; find out who made it up.',
  );
}

const COMMANDS = {
  approval: 'approve',
  exception: 'except',
  review: 'review',
  reconcile: 'reconcile',
} as const;

/** What the engine would refuse whoever signs it is not worth a signature: its refusal, before anybody is asked. */
export function assertOpen(decision: Decision, kind: SignRequest['kind']): void {
  const wrong = checkLifecycle(COMMANDS[kind], decision);
  if (wrong === null) return;
  throw new ApiProblem(REFUSALS[wrong.refused], {
    code: wrong.refused,
    detail: `${wrong.message} Nothing was signed.`,
  });
}

function digestShown({ action }: Decision): string {
  const target = action.target === null ? null : { type: action.target.type, id: action.target.id };
  return actionDigest({ ...action, target });
}

/** What an act is made of beside the decision that it is about. */
export interface ActParts extends Pick<SignRequest, 'kind' | 'answer' | 'reason'> {
  site: string;
  role: string;
  /** Of an exception: the gate it is for. */
  gate: string | null;
  ttlSeconds: number;
  /** Text of the checkpoint that the signer saw, verified. */
  seen: string | null;
}

/** The act to sign, with a nonce of its own. */
export function buildAct(decision: Decision, parts: ActParts): SignedAct {
  const policy = decision.policy_digest;
  return {
    type: 'holdfast/act/v1',
    kind: parts.kind,
    site: parts.site,
    subject: decision.decision_id,
    subject_digest: {
      action: decision.action_digest,
      ...(policy === null ? {} : { policy }),
      ...(parts.gate === null ? {} : { gate: gateDigest(parts.gate) }),
    },
    answer: parts.answer,
    role: parts.role,
    reason: parts.reason,
    issued_at: new Date().toISOString(),
    ttl_seconds: parts.ttlSeconds,
    nonce: randomBytes(NONCE_BYTES).toString('base64url'),
    seen_checkpoint: parts.seen,
  };
}

/**
 * The gate that an exception is for: the one that is named, or the only one that waits for the role. Null for other
 * acts. Throws BoundaryError `gate.unknown`, `gate.several`.
 */
export function chosenGate(
  decision: Decision,
  { kind, gate }: Pick<SignRequest, 'kind' | 'gate'>,
  role: string,
): string | null {
  if (kind !== 'exception') return null;
  const open = openExceptions(decision, ({ counts }) => counts !== false);
  const mine = open.filter((one) => one.exception_role === role).map(({ id }) => id);
  if (gate !== undefined) {
    if (open.some(({ id }) => id === gate)) return gate;
    throw new BoundaryError(
      'gate.unknown',
      `No exception is open for the gate ${gate}; nothing was signed. ${open.length === 0 ? 'None is open.' : `Open: ${open.map(({ id }) => id).join(', ')}.`}`,
      { at: '--gate' },
    );
  }
  if (mine.length <= 1) return mine[0] ?? null;
  throw new BoundaryError(
    'gate.several',
    `${mine.join(' and ')} wait for an exception by ${role}. Say which with --gate, and sign one for each; nothing was signed.`,
    { at: '--gate' },
  );
}

/** Text of the ledger's newest checkpoint, verified; null where the socket does not give it out. */
export async function seenCheckpoint(client: ApiClient, site: Site): Promise<string | null> {
  if (!client.socketPath.endsWith('/operator.sock')) return null;
  const { origin, vkeys } = ownLogTrust(site);
  return openCheckpoint(await client.checkpoint(), { origin, vkeys }).text;
}

/**
 * Asks the person at the terminal. Where there is none nobody has seen what is about to be signed, so only `--yes` signs.
 * Throws BoundaryError `sign.declined`, `sign.unconfirmed`.
 */
export async function confirm(): Promise<void> {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    throw new BoundaryError(
      'sign.unconfirmed',
      'There is no terminal to ask at, so nothing was signed or sent. Read what is shown above; to sign it, repeat the command with --yes.',
    );
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt.question('Sign this? [y/N] ').finally(() => prompt.close());
  if (/^y(es)?$/i.test(answer.trim())) return;
  throw new BoundaryError('sign.declined', 'Nothing was signed or sent.');
}

/** Signs an act and checks what came back. Throws BoundaryError `sign.bad_signature`, and those of the key. */
export async function signAct(act: SignedAct, key: SigningKey): Promise<SignedActBody> {
  const text = formatAct(act);
  const message = new TextEncoder().encode(text);
  const namespace = actNamespace(act.kind);
  const signature = await key.sign(message, namespace);
  const verified = verifySshSignature({ armor: signature, message, namespace });
  if (!verified.ok || verified.key !== key.fingerprint) {
    throw new BoundaryError(
      'sign.bad_signature',
      'The signature that came back does not verify; it was not sent.',
    );
  }
  return { act: text, signature };
}
