import { html, Safe } from '../../evidence/html.ts';
import { REPORT_STYLE } from '../../evidence/report-style.ts';
import type { Check, CheckResult } from './check.ts';
import { MAPPING, type MappedControl } from './mapping.ts';

/** What stands at the head of a report. */
export interface ReportHead {
  site: string;
  profile: string;
  host: string;
  version: string;
  /** RFC 3339. */
  at: string;
}

/** One row of the page: what was found about the controls of one row of the mapping. */
export interface ReportRow extends MappedControl {
  result: CheckResult;
  evidence: readonly Check[];
}

const DISCLAIMER =
  'This page maps what was found on this host at this time to control names of NIST SP 800-53 revision 5 and IEC 62443-4-2:2019, as help for an assessor. It is not a certification, an attestation or a statement of conformity: each of these controls also asks for things that no program on the host can see (people, procedures, premises).';

const WORDS: Readonly<Record<CheckResult, string>> = {
  pass: 'as it should be',
  warn: 'needs attention',
  fail: 'not as it should be',
  unknown: 'could not be seen',
};
const STYLES: Readonly<Record<CheckResult, string>> = {
  pass: 'yes',
  warn: 'open',
  fail: 'no',
  unknown: 'open',
};
/** The worst of several counts; what could not be seen is worse than good, and better than bad. */
const ORDER: readonly CheckResult[] = ['fail', 'warn', 'unknown', 'pass'];

/** Every row of the mapping with the checks that speak about it; a row about which nothing was seen is unknown. */
export function reportRows(checks: readonly Check[]): ReportRow[] {
  return MAPPING.map((control) => {
    const evidence = checks.filter(({ id }) =>
      control.checks.some((wanted) => (wanted.endsWith('.') ? id.startsWith(wanted) : id === wanted)),
    );
    const result = ORDER.find((one) => evidence.some((check) => check.result === one)) ?? 'unknown';
    return { ...control, result, evidence };
  });
}

/** The page for a browser and for paper: no scripts, nothing loaded from anywhere. */
export function htmlReport(head: ReportHead, checks: readonly Check[]): string {
  const rows = reportRows(checks);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Controls at ${head.site}</title><style>${new Safe(REPORT_STYLE)}</style></head><body>
<header><h1>Controls at ${head.site}</h1>
<p class="sub">${headWords(head)}</p><p class="sub">${countWords(rows)}</p></header>
<p class="small">${DISCLAIMER}</p>
<table><thead><tr><th>Controls</th><th>What this host does, and what was found</th><th>Result</th></tr></thead><tbody>
${rows.map(htmlRow)}
</tbody></table>
<footer>Made by holdfast doctor ${head.version}. The same as data: holdfast doctor --json</footer>
</body></html>
`;
  return page.text;
}

function htmlRow({ nist, iec, mechanism, result, evidence }: ReportRow): Safe {
  const found = evidence.map(
    (check) =>
      html`<li><code>${check.id}</code> <span class="${STYLES[check.result]}">${check.result}</span> ${check.found}${
        check.fix === null || check.result === 'pass' ? null : html`<br><em>${check.fix}</em>`
      }</li>`,
  );
  return html`<tr><th>${nist.map((name) => html`${name}<br>`)}<span class="small">${iec.map((name) => html`${name}<br>`)}</span></th>
<td>${mechanism}<ul class="small">${found}</ul></td><td class="${STYLES[result]}">${WORDS[result]}</td></tr>
`;
}

const WIDTH = 92;

/** The same as plain text, for a terminal or a line printer. */
export function textReport(head: ReportHead, checks: readonly Check[]): string {
  const rows = reportRows(checks);
  const blocks = rows.map(({ nist, iec, mechanism, result, evidence }) =>
    [
      ...wrapped(`[${result.toUpperCase()}] ${nist.join('; ')}`, ''),
      ...wrapped(`IEC 62443-4-2: ${iec.join('; ')}`, '  '),
      ...wrapped(mechanism, '  '),
      ...evidence.flatMap((check) => [
        ...wrapped(`- ${check.id} (${check.result}): ${check.found}`, '    '),
        ...(check.fix === null || check.result === 'pass' ? [] : wrapped(`do: ${check.fix}`, '      ')),
      ]),
    ].join('\n'),
  );
  const title = `Controls at ${head.site}`;
  return [
    title,
    '='.repeat(title.length),
    headWords(head),
    countWords(rows),
    '',
    ...wrapped(DISCLAIMER, ''),
    '',
    blocks.join('\n\n'),
    '',
  ].join('\n');
}

function headWords({ profile, host, version, at }: ReportHead): string {
  return `Profile ${profile}, host ${host}, holdfast ${version}, looked at ${at}`;
}

function countWords(rows: readonly ReportRow[]): string {
  const counts = ORDER.map((result) => ({ result, n: rows.filter((row) => row.result === result).length }));
  const said = counts.filter(({ n }) => n > 0).map(({ result, n }) => `${n} ${WORDS[result]}`);
  return `${rows.length} groups of controls: ${said.join(', ')}`;
}

/** What other people wrote may be in it: control characters become visible. */
function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.replace(/\p{C}/gu, '\uFFFD').split(/\s+/)) {
    if (line !== '' && indent.length + line.length + 1 + word.length > WIDTH) {
      lines.push(indent + line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, indent + line];
}
