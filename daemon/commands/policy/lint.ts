import { lstatSync } from 'node:fs';
import { Command } from 'commander';
import { BUNDLE_MAX_BYTES, parseBundle } from '../../core/bundle.ts';
import { describeDefect } from '../../core/bundle-defects.ts';
import { compileBundle } from '../../core/compile.ts';
import { readBounded } from '../../host/durable-file.ts';
import { type Finding, lintBundle } from '../../policy/lint.ts';
import { readPolicyDirectory } from '../../policy/source.ts';
import { EXIT, endWith } from '../exit.ts';
import { print, printJson } from '../render/output.ts';
import { count, paint, plain, type Style } from '../render/text.ts';
import { orReport, renderPolicy, type Subject, summary } from './subject.ts';

const HELP = `
A defect keeps a site from running the policy. Beyond defects, lint reports
  error    what can never work: a class without any route, authority that nobody in the roster can give
  warning  what can never matter, or is likely a mistake: unreachable gates and routes, factors that never
           apply, tools that no class uses, risks without a route
  note     what its author should know: routes that add up, requests that only their own approver could approve

Exit codes: 0 no defects and no errors · 2 defects, errors, or with --strict warnings`;

interface LintOptions {
  json?: boolean;
  strict?: boolean;
}

/** `holdfast policy lint`: defects, and what a policy says that its author cannot have meant. */
export function policyLintCommand(): Command {
  return new Command('lint')
    .description('Check a policy: defects, and rules that cannot work or cannot matter, with file and line.')
    .argument('<dir>', 'directory of YAML files, or a bundle file')
    .option('--strict', 'exit 2 on warnings too')
    .addHelpText('after', HELP)
    .action((dir: string, options: LintOptions) => {
      const checked = orReport(dir, options, () => lint(dir));
      if (checked === null) return;
      const { subject, findings } = checked;
      const failed = findings.some(
        ({ severity }) => severity === 'error' || (options.strict === true && severity === 'warning'),
      );
      if (options.json) printJson({ ok: !failed, ...summary(subject), defects: [], findings });
      else print(render(dir, subject, findings));
      endWith(failed ? EXIT.usage : EXIT.done);
    });
}

function lint(path: string): { subject: Subject; findings: Finding[] } {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    const subject = readPolicyDirectory(path);
    return { subject, findings: lintBundle(subject.bundle).map((finding) => subject.locate(finding)) };
  }
  const bytes = readBounded(path, BUNDLE_MAX_BYTES);
  const { bundle, digest } = parseBundle(bytes);
  compileBundle(bundle, digest);
  return { subject: { bundle, bytes, digest }, findings: lintBundle(bundle) };
}

const STYLES: Record<Finding['severity'], Style> = { error: 'red', warning: 'yellow', note: 'dim' };

function render(dir: string, subject: Subject, findings: readonly Finding[]): string {
  const of = (severity: Finding['severity']) =>
    findings.filter((finding) => finding.severity === severity).length;
  const worst = of('error') > 0 ? paint('red', 'ERRORS') : paint('green', 'NO DEFECTS');
  const counts = [
    ['error', count(of('error'), 'error')],
    ['warning', count(of('warning'), 'warning')],
    ['note', count(of('note'), 'note')],
  ] as const;
  const said = counts.filter(([severity]) => of(severity) > 0).map(([, words]) => words);
  const head = `${worst}  ${dir}${said.length === 0 ? '' : `: ${said.join(', ')}`}`;
  const lines = findings.map(
    (finding) =>
      `  ${paint(STYLES[finding.severity], finding.severity)} ${plain(describeDefect(finding))} [${finding.check}]`,
  );
  return [head, renderPolicy(subject), ...lines].join('\n');
}
