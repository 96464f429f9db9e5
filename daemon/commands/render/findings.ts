import type { Finding, VerifyReport } from '../../ledger/verify.ts';
import { count, plain, table } from './text.ts';

/** Lines shown to people; `--json` has more. */
const SHOWN = 20;
/** Fewer alike are shown one by one. */
const WORTH_FOLDING = 3;

/** What an old trust file does not know, and cannot tell. */
export function followedWords({ followed = [] }: VerifyReport): string {
  if (followed.length === 0) return '';
  const at = followed.map(({ from }) => String(from + 1)).join(', ');
  return `rotated at ${at}: your trust file predates it. Each old key vouches for the new one, as a stolen one could; a newer trust file says which count`;
}

/** What was found, as a table; what is said of many rows in the same words is one line. */
export function renderFindings({ findings, total }: Pick<VerifyReport, 'findings' | 'total'>): string {
  const shown = runsOf(findings).slice(0, SHOWN);
  const lines = shown.flatMap((run) => (run.length < WORTH_FOLDING ? run.map(lineOf) : [foldedLine(run)]));
  const more = total - shown.reduce((sum, run) => sum + run.length, 0);
  const rest = more > 0 ? `\n… and ${count(more, 'more finding')}` : '';
  return `${table(['entry', 'what', 'where', 'detail'], lines)}${rest}`;
}

/** Findings that follow on each other and differ by numbers only. What is about an entry stands for itself. */
function runsOf(findings: readonly Finding[]): Finding[][] {
  const runs: Finding[][] = [];
  for (const finding of findings) {
    const run = runs.at(-1);
    if (run?.[0] !== undefined && isAlike(run[0], finding)) run.push(finding);
    else runs.push([finding]);
  }
  return runs;
}

function isAlike(one: Finding, other: Finding): boolean {
  const shape = ({ code, what, where, detail }: Finding) =>
    [code, what, withoutNumbers(where), withoutNumbers(detail)].join('\n');
  return one.index === undefined && other.index === undefined && shape(one) === shape(other);
}

function withoutNumbers(text: string): string {
  return text.replaceAll(/\d+/g, '#');
}

function lineOf({ index, what, where, field = '', detail }: Finding): string[] {
  return [index === undefined ? '-' : String(index), plain(what), plain(`${where}${field}`), plain(detail)];
}

function foldedLine(run: readonly Finding[]): string[] {
  const [first, last] = [run[0] as Finding, run.at(-1) as Finding];
  const detail = withCommonNumbers(run.map((finding) => finding.detail));
  return [
    '-',
    plain(first.what),
    plain(`${first.where} … ${last.where}`),
    `${count(run.length, first.what)}: ${plain(detail)}`,
  ];
}

/** The sentence that all of them are, with "n" for the numbers in which they differ. */
function withCommonNumbers(details: readonly string[]): string {
  const numbers = details.map((detail) => detail.match(/\d+/g) ?? []);
  let at = -1;
  return (details[0] ?? '').replaceAll(/\d+/g, (number) => {
    at += 1;
    return numbers.every((found) => found[at] === number) ? number : 'n';
  });
}
