import { BoundaryError } from './boundary-error.ts';
import { isUnknownSigner } from './checkpoint.ts';
import { isHexDigest } from './digest.ts';
import { decodeEntry } from './entry.ts';
import { parseVkey } from './signed-note.ts';
import { parseProof, verifyProof } from './tlog-proof.ts';

/*
 * How a new site introduces itself to headquarters: the C2SP tlog-proof of its ledger's first entry, which names the site,
 * its profile, its key, the policy root that it pinned and the provisioning that it was made from. The checkpoint is signed
 * by that very key: whoever sends it has the key. Whose key it is, only a comparison of fingerprints can tell.
 */

/** What the first entry says. */
export interface Enrolment {
  site: string;
  profile: string;
  /** Origin of its ledger. */
  origin: string;
  vkey: string;
  /** Hex SHA-256 of the pinned policy root. */
  root_digest: string;
  /** Hex SHA-256 of the provisioning list that it was made from; null when it was made from a root file. */
  provisioning: string | null;
  /** RFC 3339, by the site's clock. */
  at: string;
  /** Entries that its ledger has. */
  size: number;
}

export const ENROLMENT_MAX_BYTES = 262_144;
/** First line of the file. */
export const ENROLMENT_HEAD = 'c2sp.org/tlog-proof@v1';

/**
 * The enrolment in a proof file, proven to come from whoever has the key that it names. Throws BoundaryError
 * `enrolment.malformed`, `enrolment.not_new`, `enrolment.other_key` for a ledger whose key has changed since, and those of `verifyProof`.
 */
export function openEnrolment(text: string): Enrolment {
  const { extra, index } = parseProof(text);
  if (extra === undefined || index !== 0) throw malformed('does not carry the first entry of a ledger');
  const entry = decodeEntry(extra);
  if (entry.type !== 'system.initialized') throw notNew();
  const { site, profile, origin, vkey, root_digest, provisioning = null } = entry.data;
  const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
  if (!isText(site) || !isText(profile) || !isText(origin) || !isText(vkey))
    throw malformed('lacks site, profile, origin or key');
  if (!isHexDigest(root_digest) || (provisioning !== null && !isHexDigest(provisioning)))
    throw malformed('has a wrong digest');
  if (site !== entry.site || origin !== `${site}/ledger` || parseVkey(vkey).name !== origin)
    throw malformed('speaks of several sites');
  const size = checkpointSize(text, origin, vkey);
  return {
    site,
    profile,
    origin,
    vkey,
    root_digest: root_digest as string,
    provisioning: provisioning as string | null,
    at: entry.at,
    size,
  };
}

function checkpointSize(text: string, origin: string, vkey: string): number {
  try {
    return verifyProof(text, { origin, vkeys: [vkey] }).checkpoint.size;
  } catch (cause) {
    if (!(cause instanceof BoundaryError) || !isUnknownSigner(cause)) throw cause;
    throw new BoundaryError(
      'enrolment.other_key',
      'The enrolment is not signed by the key that it names: it was changed, or the site has rotated its key since. Nothing was signed. Ask the site for its trust file: holdfast site export-trust FILE',
      { cause },
    );
  }
}

/** A log that goes on for another one: what headquarters has to compare is the whole line of logs. */
function notNew(): BoundaryError {
  return new BoundaryError(
    'enrolment.not_new',
    'The ledger does not begin with a newly made site: it goes on for another one, as after a restore. Nothing was enrolled. Bring headquarters the trust file instead: holdfast site export-trust FILE. They hold it against the old one with: holdfast site check-trust',
  );
}

function malformed(what: string): BoundaryError {
  return new BoundaryError(
    'enrolment.malformed',
    `The file ${what}; it is no enrolment. Nothing was signed. At the site: holdfast site enrolment -o FILE`,
  );
}
