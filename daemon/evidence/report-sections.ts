import type { RecordedGate } from '../core/verdict.ts';
import { isCommitment } from '../formats/commitment.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { ResolvedCall } from '../formats/permit.ts';
import { type Content, html, type Safe } from './html.ts';
import type { OpenedEvidence } from './opened.ts';
import { type Event, outcomeWords, pretty, timeline } from './story.ts';

/** A table of labels and contents; rows without content are left out. */
export function facts(rows: readonly (readonly [label: string, content: Content])[]): Safe {
  const shown = rows.filter(([, content]) => content !== null && content !== '');
  return html`<table><tbody>${shown.map(([label, content]) => html`<tr><th scope="row">${label}</th><td>${content}</td></tr>`)}</tbody></table>`;
}

/** A table with a head. */
export function grid(head: readonly string[], rows: readonly (readonly Content[])[]): Safe {
  return html`<table><thead><tr>${head.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead><tbody>${rows.map(
    (cells) => html`<tr>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`,
  )}</tbody></table>`;
}

/** An instant to the second, with a word where the site doubted it. */
export function moment(at: string, trust = 'trusted'): Safe {
  const text = `${at.slice(0, 10)} ${at.slice(11, 19)} UTC`;
  const doubt = trust === 'uncertain' ? ' (clock in doubt)' : '';
  return html`<span class="when">${text}</span>${doubt}`;
}

const AROUND: Readonly<Record<string, string>> = {
  linked: 'linked decision',
  breakglass: 'break-glass',
  grant: 'sealed grant',
  incident: 'incident',
  policy: 'policy',
  keys: 'keys',
  mention: 'beside it',
};

/** Who did what, when, and why: the decision, with what belongs to it. */
export function timelineSection({ entries }: OpenedEvidence): Safe {
  const rows = timeline(entries).map((event) => [
    moment(event.at, event.time_trust),
    event.role === 'decision'
      ? html`<strong>${event.what}</strong>`
      : html`${event.what} <span class="small">(${AROUND[event.role] ?? event.role})</span>`,
    whoCell(event),
    html`<span class="told">${event.why}</span>`,
    event.index,
  ]);
  return html`<h2>What happened</h2>
<p class="sub">In the order of the log. Times are the site’s. The last column is the number of the entry.</p>
${grid(['When', 'What', 'Who', 'Why', 'Entry'], rows)}`;
}

/** Somebody by the id that is recorded and the name that the policy has for it. */
function person({ bundle }: OpenedEvidence, id: string): Safe {
  const principals = bundle?.bundle.principals ?? {};
  const name = Object.hasOwn(principals, id) ? principals[id]?.display_name : undefined;
  return html`${id}${name === undefined ? null : html` <span class="small">(${name})</span>`}`;
}

function whoCell({ who, as, key }: Event): Safe {
  return html`${who}${as === null || as === 'system' ? '' : `, as ${as}`}${key === null ? '' : html`<br><code>${key}</code>`}`;
}

/** What was asked for, with commitments where values are withheld. */
export function requestSection({ decision, disclosed, index, own }: OpenedEvidence): Safe {
  const { action, context } = decision;
  const payload = Object.entries(action.payload).map(([field, value]) => [
    field,
    payloadCell(field, value, { disclosed, shredded: index.fields.shredded }),
  ]);
  const labels = Object.entries(context.labels).map(([name, value]) => `${name}=${value}`);
  return html`<h2>What was asked</h2>
${facts([
  ['Action', html`<strong>${action.class ?? 'none named'}</strong>`],
  ['On', action.target === null ? 'nothing named' : `${action.target.type}: ${action.target.id}`],
  [
    'In',
    `${context.environment}${own[0]?.entry.data.environment_assumed === true ? ' (none was named; assumed)' : ''}`,
  ],
  [
    'Asked by',
    `${context.actor.id ?? 'nobody named'}${context.actor.role === null ? '' : `, as ${context.actor.role}`}`,
  ],
  ['Purpose, as stated', html`<span class="told">${action.intent ?? 'none'}</span>`],
  ['Labels', labels.join(', ')],
  ['Correlation', context.trace.correlation_id ?? ''],
  ['Follows', decision.linked_to ?? ''],
  ['Digest of the action', html`<code>${decision.action_digest}</code>`],
])}
${payload.length === 0 ? html`<p>The request had no parameters.</p>` : grid(['Parameter', 'Value'], payload)}`;
}

function payloadCell(
  field: string,
  value: Json,
  { disclosed, shredded }: { disclosed: OpenedEvidence['disclosed']; shredded: readonly string[] },
): Content {
  if (!isCommitment(value)) return html`<code class="told">${JSON.stringify(value)}</code>`;
  const shown = disclosed[field];
  const how = shredded.includes(field) ? 'destroyed since' : 'withheld';
  return html`${shown === undefined ? html`<em>${how}</em>` : html`<code class="told">${JSON.stringify(shown.value)}</code> <em>(sensitive; shown here)</em>`}
<br><span class="small">commitment <code>${value.$commitment}</code></span>`;
}

/** What the policy said: gates, risk, authority. */
export function rulesSection(opened: OpenedEvidence): Safe {
  const { decision, bundle } = opened;
  const { risk, policy_version, policy_digest, enforcement } = decision;
  const words = new Map((bundle?.bundle.gates ?? []).map(({ id, reason }) => [id, reason]));
  const gates = decision.policy.gates.map(({ id, result, reason, field }) => [
    html`<span class="${result === 'pass' || result === 'lifted' ? 'yes' : result === 'fail' ? 'no' : 'open'}">${GATE_WORDS[result]}</span>`,
    html`${id}${field === undefined ? '' : ` (${field})`}`,
    reason ?? words.get(id) ?? '',
  ]);
  return html`<h2>What the rules said</h2>
${facts([
  ['Policy', policy_version ?? 'none was in force'],
  ['Digest of the policy', policy_digest === null ? null : html`<code>${policy_digest}</code>`],
  ['Result', html`<strong>${RESULT_WORDS[enforcement.result]}</strong>`],
  ['Because', html`<ul>${enforcement.reasons.map((reason) => html`<li>${reason}</li>`)}</ul>`],
  ['Risk', `${risk.band ?? 'not computed'}${risk.score === null ? '' : `, score ${risk.score}`}`],
  [
    'What raised it',
    risk.reasons.length === 0
      ? null
      : html`<ul>${risk.reasons.map((reason) => html`<li>${reason}</li>`)}</ul>`,
  ],
])}
${gates.length === 0 ? html`<p>No gate applied.</p>` : grid(['Gate', 'Name', 'Rule'], gates)}
${authority(opened)}`;
}

const GATE_WORDS = {
  pass: 'passed',
  fail: 'failed',
  requires_exception: 'exception needed',
  lifted: 'lifted by break-glass',
} as const;
const RESULT_WORDS = {
  allow: 'allowed',
  deny: 'denied',
  queue: 'put aside',
  escalate: 'waits for signatures',
} as const;

function authority(opened: OpenedEvidence): Safe {
  const { decision } = opened;
  const { required, received } = decision.authority;
  const needed = required.map(({ group, roles, min_signatures }) => [
    group,
    roles.join(' or '),
    min_signatures,
  ]);
  const given = received.map(({ principal, role, group, answer, key, at }) => [
    answer === 'approve' ? html`<span class="yes">approved</span>` : html`<span class="no">rejected</span>`,
    html`${person(opened, principal)}, as ${role}`,
    group,
    html`<code>${key}</code>`,
    moment(at),
  ]);
  const exceptions = decision.policy.exceptions.map(({ gate, principal, role, reason, key, at }) => [
    gate,
    html`${person(opened, principal)}, as ${role}`,
    html`<span class="told">${reason}</span>`,
    html`<code>${key}</code>`,
    moment(at),
  ]);
  return html`<h3>Whose signatures it took</h3>
${needed.length === 0 ? html`<p>The policy asked for nobody’s signature.</p>` : grid(['Group', 'Roles', 'People needed'], needed)}
${given.length === 0 ? null : html`<h3>Whose it got</h3>${grid(['Answer', 'Who', 'Group', 'Key', 'When'], given)}`}
${exceptions.length === 0 ? null : html`<h3>Exceptions</h3>${grid(['Gate', 'Who', 'Reason', 'Key', 'When'], exceptions)}`}`;
}

/** What ran, and what came of it. */
export function executionSection({ decision, own }: OpenedEvidence): Safe {
  const { permit, outcome } = decision;
  if (permit === undefined)
    return html`<h2>What ran</h2><p>Nothing: there was no permit${gatesLeft(decision.policy.gates)}.</p>`;
  const redeemed = own.find(({ entry }) => entry.type === 'permit.redeemed');
  const detail = (outcome?.detail ?? null) as JsonObject | null;
  return html`<h2>What ran</h2>
${facts([
  ['Permit', html`<code>${permit.id}</code>`],
  ['For', `${permit.audience}, tool ${permit.tool}`],
  [
    'Profile',
    permit.profile === 'dev' ? 'dev: made for development, worth nothing elsewhere' : permit.profile,
  ],
  ['Valid', html`${moment(permit.not_before)} to ${moment(permit.expires_at)}`],
  ['Call', callCell(permit.call)],
  ['Used', redeemed === undefined ? 'never' : html`${moment(redeemed.entry.at)}, once`],
  [
    'Result',
    outcome === null
      ? redeemed === undefined
        ? null
        : 'not known'
      : html`<strong>${String(outcome.result)}</strong>`,
  ],
  ['How it ended', detail === null ? null : outcomeWords(detail)],
  ['SHA-256 of its output', digestCell(detail, 'stdout')],
  ['SHA-256 of its errors', digestCell(detail, 'stderr')],
])}`;
}

function gatesLeft(gates: readonly RecordedGate[]): string {
  const left = gates.filter(({ result }) => result === 'fail' || result === 'requires_exception');
  return left.length === 0 ? '' : ` (${left.map(({ id }) => id).join(', ')})`;
}

function callCell(call: ResolvedCall): Safe {
  if (call.connector === 'exec')
    return html`<pre>${call.argv.map((word) => `${JSON.stringify(word)}\n`).join('')}</pre>${
      call.stdin === null
        ? null
        : html`<p class="small">on its standard input:</p><pre>${pretty(call.stdin)}</pre>`
    }<p class="small">Started without a shell: one line is one argument.</p>`;
  return html`<pre>${call.method} ${call.path}\nto ${call.address}${call.body === null ? '' : `\n\n${pretty(call.body)}`}</pre>`;
}

function digestCell(detail: JsonObject | null, stream: 'stdout' | 'stderr'): Content {
  const digest = detail?.[`${stream}_digest`];
  const bytes = detail?.[`${stream}_bytes`];
  if (typeof digest !== 'string') return null;
  return html`<code>${digest}</code>${typeof bytes === 'number' ? ` (${bytes} bytes)` : ''}`;
}
