import { sha256, toBase64 } from '../formats/digest.ts';
import { VERSION } from '../host/version.ts';
import type { Check } from './examination.ts';
import { html, Safe } from './html.ts';
import type { OpenedEvidence } from './opened.ts';
import {
  executionSection,
  facts,
  grid,
  moment,
  requestSection,
  rulesSection,
  timelineSection,
} from './report-sections.ts';
import { REPORT_STYLE } from './report-style.ts';
import type { Verification } from './verify.ts';

/** What the page says beside the evidence itself. */
export interface ReportFrame {
  /** RFC 3339: when the page is made, by the clock of whoever makes it. */
  made_at: string;
  /** Hex SHA-256 of the file of evidence. */
  sha256: string;
  /** In words, what is known about where the keys come from that were believed. */
  trust: string;
}

/**
 * The evidence as one page for people who decide about it: self-contained, no script, nothing from elsewhere, fit for
 * paper. Every text in it may come from whoever asked for the action, and is escaped.
 */
export function renderReport(verification: Verification, frame: ReportFrame): string {
  const { opened } = verification;
  const title = opened === null ? 'Evidence that cannot be read' : `Decision ${opened.decision.decision_id}`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${styleDigest()}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Safe(REPORT_STYLE)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p class="sub">${opened === null ? '' : `at ${opened.index.site}, asked ${opened.decision.timestamps.created_at.slice(0, 10)}: ${inShort(opened)}`}</p>
</header>
<main>
${verdict(verification)}
${opened === null ? null : body(opened)}
${checksSection(verification, frame)}
${unprovedSection(verification)}
${byHandSection(opened)}
</main>
<footer>Made ${moment(frame.made_at)} by holdfast ${VERSION} from a file with the SHA-256 <code>${frame.sha256}</code>. The page is a
rendering; the file is the evidence.</footer>
</body>
</html>
`;
  return page.text;
}

function body(opened: OpenedEvidence): Safe {
  return html`${requestSection(opened)}
${rulesSection(opened)}
${executionSection(opened)}
${timelineSection(opened)}
${hiddenSection(opened)}`;
}

/** The source expression of the one style sheet that the page allows itself. */
function styleDigest(): string {
  return toBase64(sha256(REPORT_STYLE));
}

function inShort({ decision }: OpenedEvidence): string {
  const { action, context, outcome } = decision;
  const target = action.target === null ? 'nothing named' : `${action.target.type} ${action.target.id}`;
  const ended = outcome === null ? decision.status : `${decision.status}, ${String(outcome.result)}`;
  return `${action.class ?? 'an unnamed action'} on ${target}, by ${context.actor.id ?? 'nobody named'}: ${ended}`;
}

const BANNERS = {
  0: [
    'good',
    'The evidence holds.',
    'Everything that could be checked was checked and holds; see "What was checked" for what that is.',
  ],
  10: [
    'bad',
    'The evidence does not hold.',
    'Something was changed, or contradicts itself. Nothing below should be relied upon before that is explained.',
  ],
  12: [
    'fair',
    'The evidence is intact, but not witnessed.',
    'Fewer witnesses stand behind the log than the policy given asks for.',
  ],
  13: [
    'bad',
    'The evidence is signed by an unknown key.',
    'Whoever made it is not the one whose keys were believed. Nothing below should be relied upon.',
  ],
  14: ['bad', 'The log was rolled back.', 'It ends before what somebody who signed had seen of it.'],
} as const;

const REPLAYS = {
  same: 'Judged again under the same policy, the request gets the same verdict.',
  as_far_as_disclosed:
    'Judged again under the same policy, the request gets the same verdict, as far as its values are disclosed.',
  other: 'Judged again under the same policy, the request gets another verdict.',
  not_replayed: 'The request could not be judged again.',
} as const;

function verdict({ code, findings, replay }: Verification): Safe {
  const [style, word, meaning] = BANNERS[code];
  const found = findings.map(
    ({ file, field, message }) =>
      html`<li><code>${file}${field === null ? '' : ` ${field}`}</code>: ${message}</li>`,
  );
  return html`<section class="verdict ${style}"><strong>${word}</strong><p>${meaning}</p><p>${REPLAYS[replay.verdict]}</p>
${found.length === 0 ? null : html`<ul>${found}</ul>`}</section>`;
}

function hiddenSection({ index: { fields } }: OpenedEvidence): Safe {
  const rows = [
    ['Shown here', fields.disclosed.join(', ')],
    ['Withheld', fields.withheld.join(', ')],
    ['Destroyed since', fields.shredded.join(', ')],
  ] as const;
  const any = rows.some(([, names]) => names !== '');
  return html`<h2>What is not shown</h2>
${
  any
    ? html`<p>Sensitive values are not in the log, which holds salted commitments to them; a value that is shown later can be
held against its commitment.</p>${facts(rows)}`
    : html`<p>Nothing of the request is withheld.</p>`
}`;
}

const MARKS: Record<Check['result'], Safe> = {
  holds: html`<span class="yes">holds</span>`,
  fails: html`<span class="no">does not hold</span>`,
  not_checked: html`<span class="open">not checked</span>`,
};

function checksSection({ checks }: Verification, { trust }: ReportFrame): Safe {
  const rows = checks.map(({ what, result, detail }) => [MARKS[result], what, detail]);
  return html`<h2>What was checked</h2>
<p class="sub">When this page was made. Keys believed: ${trust}.</p>
${rows.length === 0 ? html`<p>Nothing: the file could not be read.</p>` : grid(['', 'Question', 'Answer'], rows)}`;
}

function unprovedSection({ unproved }: Verification): Safe | null {
  if (unproved.length === 0) return null;
  return html`<h2>What this does not prove</h2><ul>${unproved.map((line) => html`<li>${line}</li>`)}</ul>`;
}

function byHandSection(opened: OpenedEvidence | null): Safe {
  const signed = opened?.own.find(({ entry }) => typeof entry.data.signature === 'string');
  const number = String(signed?.index ?? 0).padStart(12, '0');
  const kind = String((signed?.entry.data.act as { kind?: unknown } | undefined)?.kind ?? 'approval');
  const who = signed?.entry.actor.id ?? 'PERSON';
  const act = html`ssh-keygen -Y verify -f acts/allowed_signers -I ${who} -n ${kind}@holdfast -s acts/${number}.sig &lt; acts/${number}.json
`;
  return html`<h2>How to check it by hand</h2>
<p>The file is a tar of public formats. Its README.txt names each of them. With tools that every system has:</p>
<pre>tar xf FILE.tar
sha256sum -c SHA256SUMS
${signed === undefined ? '' : act}</pre>
<p>With holdfast on any machine, without a network, and with a trust file that came to you on a way that you believe:</p>
<pre>holdfast evidence verify FILE.tar --trust TRUST.json</pre>`;
}
