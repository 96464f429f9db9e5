import { type StagedReport, stagedReport } from '../../../sync/repository/report.ts';
import { stagingDir } from '../../../sync/repository/settings.ts';
import type { SiteOptions } from '../access.ts';
import { print, printJson } from '../render/output.ts';
import { instant, paint } from '../render/text.ts';

/** Says what is staged in a publisher's directory and whose signatures it waits for. `extra` goes into the JSON. */
export function showStaged(dir: string, options: SiteOptions, extra: Record<string, unknown> = {}): void {
  const staged = stagedReport(stagingDir(dir));
  if (options.json) printJson({ ...extra, staging: stagingDir(dir), staged });
  else
    print(
      `${paint('bold', 'STAGED')}  nothing is published yet\n${renderStaged(staged)}\n\n${nextSteps(dir, staged)}`,
    );
}

/** One block for each staged file: who signed, who is still to ask. */
export function renderStaged(staged: readonly StagedReport[]): string {
  return staged
    .map(({ file, expires, complete, needs }) => {
      const state = complete ? paint('green', 'enough have signed') : paint('yellow', 'waits for signatures');
      const lines = needs.map(({ by, threshold, signed, open }) => {
        const names = (keys: { name: string }[]): string => keys.map(({ name }) => name).join(', ');
        return `    ${by}: ${signed.length} of ${threshold}${signed.length === 0 ? '' : ` (${names(signed)})`}${
          signed.length < threshold ? `; can still sign: ${names(open)}` : ''
        }`;
      });
      return [`  ${file}  ${state}, valid until ${instant(expires)}`, ...lines].join('\n');
    })
    .join('\n');
}

function nextSteps(dir: string, staged: readonly StagedReport[]): string {
  if (staged.every(({ complete }) => complete)) return `Next:\n  holdfast repo finish ${dir}`;
  return `Next:
  carry ${stagingDir(dir)} to each signer, who runs: holdfast repo sign staging --key THEIR.key
  holdfast repo merge ${dir} COPY…     (bring the signatures together; not needed where all sign this copy)
  holdfast repo finish ${dir}`;
}
