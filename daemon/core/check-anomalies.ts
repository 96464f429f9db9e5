import type { Bundle } from './bundle.ts';
import type { AnomalyRule } from './bundle-anomalies.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';
import { durationMs } from './duration.ts';

const DAY_MS = 86_400_000;
const LONGEST_MS = 366 * DAY_MS;

/** What of section `anomalies` points at nothing, contradicts itself or could never be met. */
export function checkAnomalies(bundle: Bundle): Defect[] {
  const { anomalies = [], principals, actions, environments } = bundle;
  const held = new Set(Object.values(principals).flatMap(({ roles }) => roles));
  return anomalies.flatMap((rule, index) => {
    const at = ['anomalies', index];
    return [
      ...checkId(anomalies, index),
      ...checkEffect(rule, at),
      ...unknown('role', rule.escalate_to?.roles, held, [...at, 'escalate_to', 'roles']),
      ...unknown('class', rule.classes, new Set(Object.keys(actions)), [...at, 'classes']),
      ...unknown('environment', rule.environments, new Set(Object.keys(environments)), [
        ...at,
        'environments',
      ]),
      ...checkDurations(rule, at),
    ];
  });
}

type Path = (string | number)[];

function checkId(rules: readonly AnomalyRule[], index: number): Defect[] {
  const id = rules[index]?.id;
  if (rules.findIndex((rule) => rule.id === id) === index) return [];
  const write_instead = 'give every rule an id of its own';
  return [{ pointer: pointerOf('anomalies', index, 'id'), found: `the rule "${id}" twice`, write_instead }];
}

function checkEffect({ effect, escalate_to }: AnomalyRule, at: Path): Defect[] {
  if ((effect === 'escalate') === (escalate_to !== undefined)) return [];
  const found =
    escalate_to === undefined ? 'effect escalate without escalate_to' : `escalate_to with effect ${effect}`;
  const write_instead = 'write escalate_to (roles, min_signatures) exactly where the effect is escalate';
  return [{ pointer: pointerOf(...at, 'escalate_to'), found, write_instead }];
}

function unknown(
  what: string,
  list: readonly string[] | undefined,
  known: ReadonlySet<string>,
  at: Path,
): Defect[] {
  return (list ?? []).flatMap((name, index) => {
    if (known.has(name)) return [];
    const write_instead = `write one of: ${[...known].sort().slice(0, 20).join(', ') || 'there is none yet'}`;
    return [{ pointer: pointerOf(...at, index), found: `the unknown ${what} "${name}"`, write_instead }];
  });
}

function checkDurations(rule: AnomalyRule, at: Path): Defect[] {
  const durations = { quiet: rule.quiet, ...windowsOf(rule) };
  return Object.entries(durations).flatMap(([member, text]) => {
    if (text === undefined || durationMs(text) <= LONGEST_MS) return [];
    const write_instead = 'write at most 366d';
    return [{ pointer: pointerOf(...at, member), found: text, write_instead }];
  });
}

function windowsOf(rule: AnomalyRule): Record<string, string> {
  switch (rule.watch) {
    case 'burst':
    case 'overrides':
      return { within: rule.within };
    case 'quick':
      return { at_least: rule.at_least };
    case 'off_hours':
      return {};
  }
}
