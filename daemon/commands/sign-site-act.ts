import { randomBytes } from 'node:crypto';
import type { ApiClient, SignedActBody } from '../api/client.ts';
import { anyOf } from '../core/authority.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { ActKind, SignedAct } from '../formats/signed-act.ts';
import type { Site } from './access.ts';
import { say } from './render/output.ts';
import { fitted, folded, moment, paint, plain, span } from './render/text.ts';
import { confirm, seenCheckpoint, signAct } from './sign-act.ts';
import { ownerOf } from './signer-role.ts';
import { openSigningKey } from './ssh-key.ts';

/** What somebody wants to say, signed, about something that is not a decision. */
export interface SiteActRequest {
  kind: ActKind;
  subject: string;
  /** What the signature binds beside the words of the act. */
  digests: Record<string, string>;
  answer: string;
  reason: string;
  ttlSeconds: number;
  /** What the act says about when it was signed, in milliseconds since 1970; default: the clock of this machine. */
  issuedAt?: number;
  /** What `--key` names. */
  key: string;
  /** `--role`; else the one of `roles` that the key's owner holds. */
  role: string | undefined;
  /** The roles that may, as far as the policy can be seen from here. */
  roles: readonly string[];
  /** The environment whose roster tells whose key it is. */
  environment: string;
  /** Sign without asking again on a terminal. */
  yes: boolean;
  /** Follows "You sign that you, as ROLE, ". */
  statement: string;
  /** What the reason is called; default "because". */
  reasonLabel?: string;
  /** What it is about, in words: everything that the digests bind. */
  about: readonly (readonly [label: string, text: string])[];
}

/** Where an act is signed: at a site with its daemon, or elsewhere for a site that is only named. */
export type SigningPlace = { client: ApiClient; site: Site } | { client: null; origin: string };

const NONCE_BYTES = 16;

/**
 * Signs an act about the site: find out in which role → say in words what is about to be signed → sign → check the own
 * signature. Submits nothing. Throws BoundaryError `sign.*`, `role.*`, `key.*`.
 */
export async function signSiteAct(place: SigningPlace, request: SiteActRequest): Promise<SignedActBody> {
  const key = await openSigningKey(request.key);
  const signer = await signerOf(place, key.fingerprint, request);
  const act: SignedAct = {
    type: 'holdfast/act/v1',
    kind: request.kind,
    site: place.client === null ? place.origin : place.site.config.site,
    subject: request.subject,
    subject_digest: request.digests,
    answer: request.answer,
    role: signer.role,
    reason: request.reason,
    issued_at: new Date(request.issuedAt ?? Date.now()).toISOString(),
    ttl_seconds: request.ttlSeconds,
    nonce: randomBytes(NONCE_BYTES).toString('base64url'),
    seen_checkpoint: place.client === null ? null : await seenCheckpoint(place.client, place.site),
  };
  const owner = signer.principal === null ? '' : plain(` of ${signer.principal}`);
  say(renderSiteAct(act, request, `${key.fingerprint}${owner}`));
  if (!request.yes) await confirm();
  return signAct(act, key);
}

async function signerOf(
  place: SigningPlace,
  fingerprint: string,
  { role, roles, environment }: SiteActRequest,
): Promise<{ principal: string | null; role: string }> {
  const owner = place.client === null ? 'untold' : await ownerOf(place.client, environment, fingerprint);
  const principal = owner === null || owner === 'untold' ? null : owner.id;
  if (role !== undefined) return { principal, role };
  if (owner === null) {
    throw new BoundaryError(
      'role.none',
      `The policy in force knows no owner of this key (${fingerprint}), so its signature would not count; nothing was signed. Use the key that is enrolled (holdfast principals list).`,
    );
  }
  const choices = owner === 'untold' ? roles : roles.filter((one) => owner.roles.includes(one));
  const [only, ...others] = choices;
  if (only !== undefined && others.length === 0) return { principal, role: only };
  if (only === undefined) {
    throw new BoundaryError(
      'role.none',
      roles.length === 0
        ? 'It cannot be seen from here which role may do this. Nothing was signed; name it with --role.'
        : `${principal ?? 'The owner of this key'} holds none of the roles that may do this: ${anyOf(roles)}. Nothing was signed.`,
    );
  }
  throw new BoundaryError(
    'role.several',
    `This key may sign as ${anyOf(choices)}. Say which with --role; nothing was signed.`,
  );
}

function renderSiteAct(
  act: SignedAct,
  { statement, about, reasonLabel = 'because' }: SiteActRequest,
  key: string,
): string {
  return [
    paint('bold', folded(`You sign that you, as ${plain(act.role)}, ${statement}:`)),
    fitted([...about, [reasonLabel, plain(act.reason)]]),
    paint('dim', '  bound by your signature:'),
    fitted([
      ['site', plain(act.site)],
      ['subject', act.subject],
      ...Object.entries(act.subject_digest),
      ['key', key],
      ['valid', `${span(act.ttl_seconds * 1000)} from ${moment(act.issued_at)}`],
      ['nonce', act.nonce],
    ]),
  ].join('\n');
}
