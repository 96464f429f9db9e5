import type { AcceptedAct } from '../../core/approve.ts';
import type { CheckedIdToken } from '../../core/id-token.ts';
import { type Refusal, refuse } from '../../core/refusal.ts';
import { recordableText } from '../../core/scrub.ts';
import { type KeyUse, keyUseOf } from '../../core/security-key.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { sha256Hex } from '../../formats/digest.ts';
import type { JsonObject } from '../../formats/json.ts';
import { type ActKind, actNamespace, parseAct, type SignedAct } from '../../formats/signed-act.ts';
import { ED25519, SK_ECDSA, SK_ED25519 } from '../../formats/ssh-public-key.ts';
import { verifySshSignature } from '../../formats/sshsig.ts';
import { keyUseData } from '../key-use.ts';
import { idTokenData, idTokenOf } from './id-tokens.ts';

/** Key types whose signatures count. Others verify, but are not what people sign acts with. */
const ACCEPTED_KEYS: readonly string[] = [ED25519, SK_ED25519, SK_ECDSA];

/** A signed act as it was submitted, its signature checked. */
export interface SubmittedAct {
  act: SignedAct;
  /** SHA-256 of the signed bytes. */
  digest: string;
  signature: string;
  /** Fingerprint of the signing key. */
  key: string;
  /** What a security key said; null for a plain key. */
  use: KeyUse | null;
  /** What was found about the ID token beside it; null when there was none. */
  id_token: CheckedIdToken | null;
}

/** Parses and signature-checks a submitted act. A refusal here is not recorded: it is not yet anybody's word. */
export function readAct(body: string | null, kinds: readonly ActKind[]): SubmittedAct | Refusal {
  const { act: text, signature, ...beside } = JSON.parse(body ?? '{}') as { act: string; signature: string };
  let act: SignedAct;
  try {
    act = parseAct(text);
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return refuse('approval.malformed', `The act cannot be read: ${error.message} Nothing was recorded.`);
  }
  // Acts are kept word for word as evidence, so nothing can be taken out of one.
  if (recordableText(act.reason) !== act.reason) {
    return refuse(
      'approval.malformed',
      'The reason of the act looks like it holds a secret. Nothing was recorded; sign one without it.',
    );
  }
  if (!kinds.includes(act.kind)) {
    return refuse('approval.wrong_kind', `An act of kind ${act.kind} does not belong here.`);
  }
  const message = Buffer.from(text, 'utf8');
  const verified = verifySshSignature({ armor: signature, message, namespace: actNamespace(act.kind) });
  if (!verified.ok) {
    return refuse(
      'approval.bad_signature',
      `The signature does not verify over this act (${verified.code}). Sign the exact bytes in the namespace ${actNamespace(act.kind)}.`,
    );
  }
  if (!ACCEPTED_KEYS.includes(verified.type)) {
    return refuse(
      'approval.key_type',
      `Signatures by ${verified.type} keys do not count here; use ssh-ed25519 or a security key (ed25519-sk, ecdsa-sk). Nothing was recorded.`,
    );
  }
  return {
    act,
    digest: sha256Hex(message),
    signature,
    key: verified.key,
    use: keyUseOf(verified),
    id_token: idTokenOf(beside),
  };
}

/** The act as evidence: the exact envelope and signature, so that anyone can verify it again with `ssh-keygen`. */
export function actData(submitted: SubmittedAct, person: AcceptedAct): JsonObject {
  return {
    act: submitted.act as unknown as JsonObject,
    act_digest: submitted.digest,
    signature: submitted.signature,
    principal: person.principal,
    role: person.role,
    key: submitted.key,
    nonce: submitted.act.nonce,
    reason: submitted.act.reason,
    ...keyUseData(submitted),
    ...idTokenData(person),
  };
}
