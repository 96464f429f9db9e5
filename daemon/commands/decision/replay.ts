import { Command } from 'commander';
import { connect, openSite, type SiteOptions } from '../access.ts';
import { EXIT, endWith } from '../exit.ts';
import { parseDecisionId } from '../identifiers.ts';
import { print, printJson } from '../render/output.ts';
import { paint, plain, rows } from '../render/text.ts';

const HELP = `
Evaluates the recorded request again, under the very bundle and at the very time that it was decided. The verdict must be
the recorded one; that is what makes a record worth something.

Exit codes: 0 the same verdict · 10 another one: the entry or the software that judges is not what it was`;

/** What `GET /v1/decisions/{id}/replay` answers, as far as people look at it. */
interface Replayed {
  decision_id: string;
  policy_version: string | null;
  policy_digest: string | null;
  recorded: { result: string };
  replayed: { result: string };
  withheld: boolean;
  envelope: { shredded: string[]; withheld: string[]; missing: string[] };
  differences: string[];
}

/** `holdfast decision replay ID`: judge a recorded decision again. */
export function decisionReplayCommand(): Command {
  return new Command('replay')
    .description('Judge it again under the policy it was decided by; the verdict must be the same.')
    .argument('<id>', 'dec_…', parseDecisionId)
    .addHelpText('after', HELP)
    .action(async (id: string, options: SiteOptions) => {
      const answer = await connect(openSite(options), 'operator').replay(id);
      if (options.json) printJson(answer);
      else print(render(answer as unknown as Replayed));
      const { differences } = answer as unknown as Replayed;
      endWith(differences.length === 0 ? EXIT.done : EXIT.tampered);
    });
}

function render({
  decision_id,
  policy_version,
  policy_digest,
  replayed,
  withheld,
  envelope,
  differences,
}: Replayed): string {
  const same = differences.length === 0;
  const head = same
    ? `${paint('green', 'SAME VERDICT')}  ${plain(decision_id)}: ${plain(replayed.result)}`
    : `${paint('red', 'ANOTHER VERDICT')}  ${plain(decision_id)}`;
  const policy = policy_version === null ? 'none was in force' : `${policy_version}, ${policy_digest ?? ''}`;
  const note = withheld ? 'what it was denied for is not on record and was taken as recorded' : '';
  return [
    head,
    rows([
      ['policy', plain(policy)],
      ['note', note],
      ['destroyed', goneWords(envelope.shredded)],
      ['withheld', goneWords(envelope.withheld)],
      ['missing', goneWords(envelope.missing)],
    ]),
    ...differences.map((line) => `  ${plain(line)}`),
  ].join('\n');
}

/** Sensitive inputs that are not to be had any more; the verdict does not need them. */
function goneWords(fields: readonly string[]): string {
  return fields.length === 0
    ? ''
    : `${fields.map(plain).join(', ')}; judged when it came in, and taken as recorded`;
}
