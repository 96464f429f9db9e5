import { BoundaryError } from '../formats/boundary-error.ts';

interface Kind {
  code: string;
  /** tuf-js passes some errors on as text only, so text is what tells them apart; a test pins each. */
  shows: RegExp;
  says: string;
}

const KINDS: readonly Kind[] = [
  {
    code: 'update.expired',
    shows: /is expired/,
    says: 'its metadata has expired (or the clock of this site is wrong). Bring a fresh copy from the publisher, or set the clock',
  },
  {
    code: 'update.rolled_back',
    shows: /less than current (snapshot )?version|Missing file .* in new snapshot/,
    says: 'it is older than what this site has accepted already. Bring the newest copy; if this is the newest, tell the publisher that somebody offered an old one',
  },
  {
    code: 'update.root_not_authorized',
    shows: /\broot was signed by \d+\/\d+ keys/,
    says: 'its new root is not signed by enough keys of the root before it, or of itself. Do not use this copy; tell the publisher',
  },
  {
    code: 'update.repeated_signature',
    shows: /multiple signatures found for keyid/,
    says: 'a key has signed one of its files twice, as if it were two. Do not use this copy; tell the publisher',
  },
  {
    code: 'update.bad_signature',
    shows: /was signed by \d+\/\d+ keys/,
    says: 'too few of its signatures are valid under the keys this site trusts. Do not use this copy; tell the publisher',
  },
  {
    code: 'update.damaged',
    shows:
      /Expected (hash|length)|does not match (snapshot|timestamp)|doesn't match timestamp|Hash algorithm/,
    says: 'its files do not belong together: one was changed, or the copy is incomplete. Copy the whole repository again',
  },
  {
    code: 'update.wrong_root_version',
    shows: /Expected version \d+, got/,
    says: 'its chain of root files has a gap or a wrong number. Copy the whole repository again, with every root file',
  },
];

/**
 * Words whatever verification threw. `recorded` is what the file source itself refused, which tuf-js may have buried.
 * Anything unknown is still a refusal of the update: hostile metadata can make a parser fail in any way.
 */
export function updateFailure(error: unknown, recorded: BoundaryError | null): BoundaryError {
  if (recorded !== null) return recorded;
  if (error instanceof BoundaryError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const kind = KINDS.find(({ shows }) => shows.test(message));
  if (kind === undefined)
    return notAccepted(
      'update.malformed',
      'its metadata cannot be understood. Do not use this copy; tell the publisher',
      error,
    );
  return notAccepted(kind.code, kind.says, error);
}

/** A refused update changes nothing; every message says so. `says` has no final stop. */
export function notAccepted(code: string, says: string, cause?: unknown, at?: string): BoundaryError {
  return new BoundaryError(
    code,
    `The update was not accepted: ${says}. The policy in force stays as it was.`,
    {
      ...(at === undefined ? {} : { at }),
      cause,
    },
  );
}
