import { join } from 'node:path';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { TlogPolicyFile } from '../../host/tlog-policy-file.ts';
import { type Check, fail, type Patient, pass, warn } from './check.ts';

/** Whether the site's tlog-policy says what it is meant to: whom it believes, and whether anybody of them is needed. */
export function checkWitnesses({ site: { paths, config } }: Patient): Check[] {
  const id = 'trust.witnesses';
  const asked = config.sync?.witnesses.length ?? 0;
  const add =
    'Add a line "witness NAME VKEY" for each to trust/tlog-policy, with the key that its operator gave you, and a quorum.';
  try {
    // That it is missing is another finding.
    const policy = new TlogPolicyFile(join(paths.trust, 'tlog-policy')).read();
    if (policy === null) return [];
    const { witnesses, quorum } = policy;
    if (witnesses.length === 0)
      return asked === 0
        ? []
        : [warn(id, `sync asks ${asked} witnesses, and trust/tlog-policy believes none of them`, add)];
    const names = witnesses.map(({ name }) => name).join(', ');
    if (quorum !== null) return [pass(id, `${names}; the quorum is ${quorum}`)];
    const found = `trust/tlog-policy names ${names}, and "quorum none": what they sign is kept and counts for nothing`;
    return [
      warn(
        id,
        found,
        'Say in trust/tlog-policy how many of them are needed: a group, and its name as the quorum.',
      ),
    ];
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    const fix =
      'Correct that line; until then no witness is believed, and proofs are checked by the ledger key alone.';
    return [fail(id, error.message, fix)];
  }
}
