import type { Bundle, BundleGate } from '../../core/bundle.ts';
import { pointerOf } from '../../core/bundle-defects.ts';
import { inScope, type RuleScope } from '../../core/rules.ts';
import { listed } from '../diff/words.ts';
import { fixedAnswer } from '../reach.ts';
import { askedAt, type Finding, type Place } from './finding.ts';

/** `gate.unreachable`, `gate.always_passes`, `gate.never_passes`, `gate.shadowed`. */
export function gateFindings(bundle: Bundle, places: readonly Place[]): Finding[] {
  return bundle.gates.flatMap((gate, index): Finding[] => {
    const pointer = pointerOf('gates', index);
    const asked = askedAt(gate, places);
    const warn = (check: string, found: string, write_instead: string): Finding[] => [
      { severity: 'warning', check: `gate.${check}`, pointer, found, write_instead },
    ];
    if (asked.length === 0) {
      return warn(
        'unreachable',
        `the gate ${gate.id}, which is never asked: ${noPlace(gate)}`,
        'widen its classes or environments, or remove it',
      );
    }
    const answer = answerEverywhere(bundle, gate.condition, asked);
    if (answer === true) {
      return warn(
        'always_passes',
        `the gate ${gate.id}, which always passes`,
        'correct its condition, or remove it',
      );
    }
    if (answer === false && gate.otherwise === 'fail') {
      return warn(
        'never_passes',
        `the gate ${gate.id}, which never passes: ${placeWords(asked)} is always denied`,
        'take the environment out of the class, if that is meant',
      );
    }
    const shadow = shadowOf(bundle, gate, asked);
    if (shadow === null) return [];
    return warn(
      'shadowed',
      `the gate ${gate.id}, whose exception cannot help: ${shadow.id} fails outright for the same condition`,
      'remove one of them',
    );
  });
}

/** An outright gate of the same condition, wherever this one is asked. */
function shadowOf(bundle: Bundle, gate: BundleGate, asked: readonly Place[]): BundleGate | null {
  if (gate.otherwise === 'fail') return null;
  const covers = (other: BundleGate) =>
    other.otherwise === 'fail' &&
    other.condition === gate.condition &&
    asked.every(({ name, environment }) => inScope(other, name, environment));
  return bundle.gates.find(covers) ?? null;
}

/** `factor.never_applies`, `factor.no_weight`. */
export function factorFindings(bundle: Bundle, places: readonly Place[]): Finding[] {
  return bundle.risk.factors.flatMap((factor, index): Finding[] => {
    const pointer = pointerOf('risk', 'factors', index);
    const common = { severity: 'warning', pointer } as const;
    const asked = askedAt(factor, places);
    const never = asked.length === 0 ? noPlace(factor) : 'its condition is false wherever it is asked';
    if (asked.length === 0 || answerEverywhere(bundle, factor.condition, asked) === false) {
      const found = `the risk factor ${factor.id}, which never applies: ${never}`;
      return [
        {
          ...common,
          check: 'factor.never_applies',
          found,
          write_instead: 'correct its scope or condition, or remove it',
        },
      ];
    }
    if (factor.weight !== 0) return [];
    const found = `the risk factor ${factor.id} of weight 0`;
    return [{ ...common, check: 'factor.no_weight', found, write_instead: 'give it a weight, or remove it' }];
  });
}

/** `tool.unused`, `environment.unused`. */
export function unusedFindings(bundle: Bundle, places: readonly Place[]): Finding[] {
  const used = new Set(Object.values(bundle.actions).map(({ tool }) => tool));
  const visited = new Set(places.map(({ environment }) => environment));
  const unused = (check: string, pointer: string, found: string, write_instead: string): Finding => {
    return { severity: 'warning', check, pointer, found, write_instead };
  };
  return [
    ...Object.keys(bundle.tools)
      .filter((tool) => !used.has(tool))
      .map((tool) =>
        unused(
          'tool.unused',
          pointerOf('tools', tool),
          `the tool ${tool}, which no class uses`,
          'use it, or remove it',
        ),
      ),
    ...Object.keys(bundle.environments)
      .filter((environment) => !visited.has(environment))
      .map((environment) =>
        unused(
          'environment.unused',
          pointerOf('environments', environment),
          `the environment ${environment}, in which nothing is done`,
          'list it in a class, or remove it',
        ),
      ),
  ];
}

/** The answer that a condition gives in every one of these places, whatever is asked; null when it depends. */
function answerEverywhere(bundle: Bundle, condition: string, places: readonly Place[]): boolean | null {
  const [first, ...rest] = places.map(({ name, environment }) =>
    fixedAnswer(bundle, condition, name, environment),
  );
  return first !== undefined && rest.every((answer) => answer === first) ? first : null;
}

function noPlace({ classes, environments }: RuleScope): string {
  return `none of ${listed(classes ?? ['its classes'])} is done in ${listed(environments ?? ['its environments'], 'or')}`;
}

function placeWords(places: readonly Place[]): string {
  const names = [...new Set(places.map(({ name }) => name))];
  const environments = [...new Set(places.map(({ environment }) => environment))];
  return `${listed(names)} in ${listed(environments)}`;
}
