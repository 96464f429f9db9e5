import { Command } from 'commander';
import { describeChanges } from '../../policy/diff.ts';
import type { SiteOptions } from '../access.ts';
import { loadBundle, REFERENCE_HELP } from '../bundle-reference.ts';
import { print, printJson } from '../render/output.ts';
import { count, paint, plain } from '../render/text.ts';

const EXAMPLES = `
Examples:
  holdfast policy diff active policies/field-site
  holdfast policy diff old.json new.json --json`;

/** `holdfast policy diff A B`: what changes for people when B takes the place of A. */
export function policyDiffCommand(): Command {
  return new Command('diff')
    .description(
      'What changes when B takes the place of A, in terms of what is allowed, checked and demanded.',
    )
    .argument('<a>', REFERENCE_HELP)
    .argument('<b>', 'the same')
    .addHelpText('after', EXAMPLES)
    .action(async (a: string, b: string, options: SiteOptions) => {
      const before = await loadBundle(a, options);
      const after = await loadBundle(b, options);
      const changes = describeChanges(before.compiled.bundle, after.compiled.bundle);
      if (options.json) {
        const side = ({ compiled: { version, digest } }: typeof before) => ({ policy: version, digest });
        printJson({ before: side(before), after: side(after), changes });
        return;
      }
      const head = `${plain(before.label)} → ${plain(after.label)}`;
      print(
        changes.length === 0
          ? `${paint('green', 'NO CHANGE')}  ${head}`
          : `${paint('bold', count(changes.length, 'change'))}  ${head}\n${changes.map((change) => `- ${plain(change)}`).join('\n')}`,
      );
    });
}
