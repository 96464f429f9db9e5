import { Command } from 'commander';
import type { Bundle } from '../../core/bundle.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { JsonObject } from '../../formats/json.ts';
import { describeAuthority } from '../../policy/diff/authority.ts';
import { breakglassWords } from '../../policy/diff/breakglass.ts';
import { scopeWords } from '../../policy/diff/words.ts';
import type { SiteOptions } from '../access.ts';
import { print, printJson } from '../render/output.ts';
import { instant, paint, plain, rows, table } from '../render/text.ts';
import { NO_POLICY, type RulesInForce, readPolicy } from './in-force.ts';

/** `holdfast policy show`: what may be asked for under the policy in force, what is checked, and who must approve. */
export function policyShowCommand(): Command {
  return new Command('show')
    .description('The policy in force: what may be asked for, what is checked, who must approve.')
    .argument('[environment]', 'only this environment')
    .option('--env <environment>', 'the same')
    .action(async (named: string | undefined, options: SiteOptions & { env?: string }) => {
      const policy = await readPolicy(options);
      const wanted = named ?? options.env;
      const chosen = policy.environments.filter(({ environment }) => (wanted ?? environment) === environment);
      if (wanted !== undefined && chosen.length === 0) {
        const known = policy.environments.map(({ environment }) => environment).join(', ') || 'none';
        throw new BoundaryError(
          'environment.unknown',
          `The policy in force has no environment ${wanted}; it has ${known}.`,
        );
      }
      if (options.json) printJson({ ...policy, environments: chosen });
      else print(chosen.length === 0 ? NO_POLICY : chosen.map(render).join('\n\n'));
    });
}

function render(rules: RulesInForce): string {
  const { environment, name, version, issued_at, freshness, actions, gates, authority, risk, failure } =
    rules;
  const head = `${paint('bold', plain(environment))}  ${plain(`${name}@${version}`)}`;
  if (actions === null)
    return `${head}\n${plain(failure ?? 'It could not be loaded.')} Every request is denied.`;
  const here = Object.entries(actions).filter(([, action]) => isDoneIn(action, environment));
  const classes = here.map(([id, action]) => [
    plain(id),
    plain(`${String(object(action.target).type)}:ID`),
    plain(Object.entries(object(action.payload)).map(fieldOf).join(' ') || '-'),
    String(action.base_risk),
    plain(String(action.description)),
  ]);
  const bundle = { ...rules, environments: { [environment]: { description: '' } } } as unknown as Bundle;
  const needs = describeAuthority({
    ...bundle,
    actions: Object.fromEntries(here.map(([id, action]) => [id, { ...action, environments: [environment] }])),
  } as unknown as Bundle);
  const checks = (gates ?? []).filter(
    ({ environments = [] }) => environments.length === 0 || environments.includes(environment),
  );
  return [
    head,
    rows([
      ['issued', instant(issued_at)],
      [
        'ages',
        freshness === null
          ? ''
          : `warns after ${freshness.warn_after}, demands approval after ${freshness.escalate_after}, denies after ${freshness.deny_after} without news`,
      ],
      ['anchors', anchoringWords(rules.anchoring ?? null)],
      ['bands', (risk?.bands ?? []).map(({ band, below }) => `${band} below ${below}`).join(', ')],
    ]),
    table(['class', 'target', 'payload', 'risk', 'what it does'], classes),
    ...(authority === null
      ? []
      : ['', paint('bold', 'authority'), ...needs.map((line) => `  ${plain(line)}`)]),
    '',
    paint('bold', 'gates'),
    ...checks.map((gate) => {
      const { id, reason, otherwise, exception_role } = gate;
      const effect = otherwise === 'fail' ? 'or it is denied' : `or ${exception_role} grants an exception`;
      return `  ${plain(`${id} (${scopeWords(gate)}): ${reason} (${effect})`)}`;
    }),
    ...(rules.breakglass === null
      ? []
      : [
          '',
          paint('bold', 'break-glass'),
          ...breakglassWords(rules.breakglass).map((line) => `  ${plain(line)}`),
        ]),
  ].join('\n');
}

/** What the policy demands of anchors; nothing where it demands none. */
function anchoringWords(section: NonNullable<RulesInForce['anchoring']> | null): string {
  if (section === null) return '';
  const { counts = 'made', every, warn_after, escalate_after, deny_after, classes } = section;
  const often = every === undefined ? '' : `one every ${every}; `;
  const what = counts === 'left' ? 'one known outside' : 'one';
  const held = classes === undefined ? 'all but the lowest risk' : classes.join(', ');
  return plain(
    `${often}warns after ${warn_after} without ${what}, demands approval after ${escalate_after}, denies after ${deny_after} (${held})`,
  );
}

function isDoneIn(action: JsonObject, environment: string): boolean {
  const { environments } = action;
  return !Array.isArray(environments) || environments.includes(environment);
}

/** `grace_seconds`, `reason*` when required, `psk!` when sensitive. */
function fieldOf([name, field]: [string, JsonObject[string]]): string {
  const { required, sensitive } = object(field);
  return `${name}${required === true ? '*' : ''}${sensitive === true ? '!' : ''}`;
}

function object(value: JsonObject[string] | undefined): JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
}
