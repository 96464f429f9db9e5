import type { TimeTrust } from '../formats/entry.ts';
import type { BundlePrincipal, BundleReading } from './bundle.ts';
import { lapseOf, lapseWords } from './peer.ts';
import { type Refusal, refuse } from './refusal.ts';

/** What is to be read: a decision, or entries from an index on; `what` names the thing that it goes into. */
export interface ReadingSubject {
  /** `decision`, `entries`, `evidence`, `tiles`, `ledger`, `proof`, …: a short name. */
  what: string;
  decision_id?: string;
  /** First index and number of entries. */
  from?: number;
  size?: number;
}

/** The rights that leave an entry whenever they are used. `summary` leaves none. */
export type RecordedRight = 'raw' | 'export';

/** How the site knows who reads: by what the socket shows, by a bare name, or not at all (dev profile only). */
export type ReaderProof = 'identity' | 'name' | 'none';

/** Somebody who wants to read, as far as the site can tell. */
export interface Reader {
  /** Id of the principal; null where nobody is told apart. */
  id: string | null;
  principal: BundlePrincipal | null;
  proof: ReaderProof;
}

/** A break-glass session that a reader refers to, as it stands. */
export interface ReadingSession {
  id: string;
  open: boolean;
  /** Whether what is to be read is a decision in the session's place. */
  in_place: boolean;
}

export interface ReadingRequest {
  right: RecordedRight;
  reader: Reader;
  /** Null for an ordinary read. */
  session: ReadingSession | null;
}

/** Who was let in: the principal and the role that carries the right; both null for an unidentified reader. */
export interface AdmittedReader {
  id: string | null;
  role: string | null;
}

const WHAT: Readonly<Record<RecordedRight, string>> = {
  raw: 'open payload values',
  export: 'take evidence away',
};

/**
 * Whether somebody may use a recorded right: the section must give it to roles, the reader must hold one and count. What
 * nobody was given, nobody has. Where nobody is told apart (dev profile), the socket is the only lock and the section
 * decides whether the right exists at all.
 */
export function judgeReading(
  section: BundleReading | undefined,
  request: ReadingRequest,
  time: { now: number; trust: TimeTrust },
): AdmittedReader | Refusal {
  const { right, reader, session } = request;
  if (section === undefined) return noSection(right);
  const wrong = session === null ? null : checkSession(section, request, session);
  if (wrong !== null) return wrong;
  const roles = session === null ? section[right] : section.breakglass?.roles;
  if (roles === undefined) {
    return forbidden(`The policy in force lets nobody ${WHAT[right]}.`, [right]);
  }
  const { id, principal, proof } = reader;
  if (proof === 'none') return { id: null, role: null };
  if (id === null || principal === null) {
    return refuse(
      'reading.unknown_reader',
      `The policy in force knows nobody by that name or identity, so nothing was shown or recorded. Use your own account or certificate, or name yourself (--actor ID); ${roles.join(', ')} may ${WHAT[right]}.`,
    );
  }
  const lapse = lapseOf(principal, time.now, time.trust);
  if (lapse !== null) {
    return refuse('reading.not_permitted', `${lapseWords(id, lapse, principal)} Nothing was shown.`);
  }
  const role = principal.roles.find((held) => roles.includes(held));
  if (role === undefined) {
    return forbidden(`${id} may not ${WHAT[right]}; the policy in force names ${roles.join(', ')}.`, [right]);
  }
  return { id, role };
}

/** Methods that show what was decided and done, of everybody: they take the right `summary`. */
export const SUMMARIES: ReadonlySet<string> = new Set([
  'anomalies.list',
  'decisions.list',
  'decisions.replay',
  'ledger.entries',
  'ledger.search',
  'ledger.tile',
  'subscribe',
]);

/** Whether a known caller may look at lists. Without the section, or without a list of roles in it, everybody may. */
export function judgeSummary(
  section: BundleReading | undefined,
  principal: string | null,
  roles: readonly string[],
): Refusal | null {
  const allowed = section?.summary;
  if (allowed === undefined || roles.some((role) => allowed.includes(role))) return null;
  return refuse(
    'reading.not_permitted',
    `${principal ?? 'The caller'} may not list or search what is recorded; the policy in force names ${allowed.join(', ')}. Nothing was shown.`,
  );
}

function checkSession(
  { breakglass }: BundleReading,
  { right }: ReadingRequest,
  session: ReadingSession,
): Refusal | null {
  if (breakglass === undefined) {
    return forbidden('The policy in force has no reading under break-glass.', ['breakglass']);
  }
  if (right !== 'raw') {
    return forbidden('Break-glass opens payload values of decisions; it lets nobody take evidence away.', [
      'export',
    ]);
  }
  if (!session.open) {
    return refuse(
      'breakglass.ended',
      `No break-glass session ${session.id} is open, so nothing was shown. Open one: holdfast breakglass activate.`,
    );
  }
  if (session.in_place) return null;
  return refuse(
    'breakglass.not_covered',
    `Session ${session.id} was opened for another class, target or environment; nothing was shown. It opens decisions in its own place only.`,
  );
}

function noSection(right: RecordedRight): Refusal {
  return forbidden(`The policy in force has no section "reading", so nobody may ${WHAT[right]}.`, [right]);
}

function forbidden(words: string, members: readonly string[]): Refusal {
  const where = members.map((member) => `reading.${member}`).join(', ');
  return refuse(
    'reading.not_permitted',
    `${words} Nothing was shown or recorded. Ask somebody who may, or have a policy update say so (${where}).`,
  );
}
