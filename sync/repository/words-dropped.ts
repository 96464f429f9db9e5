import type { Targets } from '@tufjs/models';

/** Whether a bundle that was listed is listed no longer. */
export function isDropped(name: string, { targets }: Targets): boolean {
  return BUNDLE.test(name) && !Object.hasOwn(targets, name);
}

/**
 * Bundles that leave the list, in words: there may be thousands, among which nothing else must get lost. Versions that
 * follow on each other are said as one.
 */
export function droppedWords(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const versions = new Map<string, number[]>();
  for (const path of names) {
    const [, name = path, version = '0'] = BUNDLE.exec(path) ?? [];
    const known = versions.get(name) ?? [];
    known.push(Number(version));
    versions.set(name, known);
  }
  const number = names.length === 1 ? '1 bundle is' : `${names.length} bundles are`;
  return [
    `  ${number} no longer listed; a site that has one would refuse everything from here on`,
    ...[...versions].map(([name, list]) => `    ${name} ${runsOf(list).join(', ')}`),
  ];
}

const BUNDLE = /^bundles\/([^/]+)\/([0-9]+)\.json$/;

/** `1, 2, 3, 7` as `1 to 3` and `7`. */
function runsOf(versions: number[]): string[] {
  const runs: [first: number, last: number][] = [];
  for (const version of versions.sort((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === version - 1) run[1] = version;
    else runs.push([version, version]);
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first} to ${last}`));
}
