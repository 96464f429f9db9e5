import { ALLOWED_LICENCES, isAllowed } from './licences.ts';

/* What a lock file may say about other people's packages. Reads nothing, asks nobody. */

/** A package as a lock file (version 3) names it, as far as it is looked at. */
export interface LockedPackage {
  name?: string;
  version?: string;
  integrity?: string;
  resolved?: string;
  license?: string;
  link?: boolean;
  inBundle?: boolean;
  hasInstallScript?: boolean;
  /** Needed to build and test only: nothing of it is shipped. */
  dev?: boolean;
  devOptional?: boolean;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

export interface LockFile {
  lockfileVersion?: number;
  packages?: Record<string, LockedPackage>;
}

/** Licences of tools that are not shipped: weak copyleft binds who passes it on. */
const TOOL_LICENCES: readonly string[] = [...ALLOWED_LICENCES, 'MPL-2.0'];

/** Packages with a script that would run at installation, and why it need not. */
const NEEDLESS_SCRIPTS: Readonly<Record<string, string>> = {
  esbuild: 'checks its own version; the binary is a package of its own',
  koffi: 'builds from source what is there as a package of its own',
};

const EXACT = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;
/** One SHA-512, as the registry signs it. */
const INTEGRITY = /^sha512-[A-Za-z0-9+/]{86}==$/;
/** Anything but a version or a range of them: git, URLs, files, other names. */
const ELSEWHERE = /[:/]/;

/**
 * What is wrong with a lock file and the settings (`.npmrc`) that it is installed under, a sentence each. Every package comes
 * from the registry, under a version and a digest; nothing runs when it is installed; and its licence is an allowed one.
 */
export function auditLock(lock: LockFile, npmrc: string): string[] {
  const { '': root, ...packages } = lock.packages ?? {};
  const wrong = Object.entries(packages).flatMap(([path, found]) => packageDefects(path, found));
  if (lock.lockfileVersion !== 3) wrong.push('the lock file is not of version 3');
  if (root === undefined) wrong.push('the lock file does not say what it is for');
  else wrong.push(...rootDefects(root, packages));
  if (!/^ignore-scripts=true$/m.test(npmrc)) wrong.push('.npmrc does not say ignore-scripts=true');
  return wrong;
}

function rootDefects(root: LockedPackage, packages: Readonly<Record<string, LockedPackage>>): string[] {
  const wanted = { ...root.dependencies, ...root.devDependencies, ...root.optionalDependencies };
  return Object.entries(wanted).flatMap(([name, version]) => {
    if (!EXACT.test(version)) return [`${name} is wanted as "${version}", which is no exact version`];
    const locked = packages[`node_modules/${name}`]?.version;
    return locked === version
      ? []
      : [`${name} is wanted as ${version}, and locked as ${locked ?? 'nothing'}`];
  });
}

function packageDefects(path: string, found: LockedPackage): string[] {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const isTool = found.dev === true || found.devOptional === true;
  const needs = { ...found.dependencies, ...found.optionalDependencies };
  const checks: [boolean, string][] = [
    [path.startsWith('node_modules/'), 'lies outside node_modules'],
    [found.name === undefined || found.name === name, `is really ${found.name}`],
    [found.link !== true && found.inBundle !== true, 'is a link, or came inside another package'],
    [EXACT.test(found.version ?? ''), 'has no exact version'],
    [INTEGRITY.test(found.integrity ?? ''), 'has no SHA-512'],
    [
      found.resolved === undefined,
      'names a host that it came from (npm config omit-lockfile-registry-resolved)',
    ],
    [
      found.hasInstallScript !== true || Object.hasOwn(NEEDLESS_SCRIPTS, name),
      'runs a script when it is installed',
    ],
    [
      !Object.values(needs).some((range) => ELSEWHERE.test(range)),
      'needs something from outside the registry',
    ],
    [
      isAllowed(found.license ?? '', isTool ? TOOL_LICENCES : ALLOWED_LICENCES),
      `has the licence ${found.license ?? 'of nobody knows'}`,
    ],
  ];
  return checks.flatMap(([holds, words]) => (holds ? [] : [`${name} (${path}) ${words}`]));
}
