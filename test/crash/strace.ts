import { spawnSync } from 'node:child_process';

/** Why strace cannot be used here; null when it can. Tests that need it say so in their names. */
export const noStrace: string | null = (() => {
  const { status, error } = spawnSync('strace', ['-o', '/dev/null', '-e', 'trace=none', 'true']);
  if (error !== undefined) return 'strace is not installed';
  return status === 0 ? null : 'strace may not trace here';
})();

/** For the name of a test that cannot do without strace. */
export const withStrace = noStrace === null ? '' : ` (skipped: ${noStrace})`;

/**
 * A command prefix that injects a fault into a process: `fault` is what strace puts behind `inject=`, such as
 * `fsync:error=EIO:when=3+`; strace counts each thread's calls for itself. Only calls on `paths` (all without) count and
 * are hit. The command keeps its own process id.
 */
export function inject(fault: string, ...paths: string[]): string[] {
  const [calls] = fault.split(':', 1);
  // Stops at the named calls only, which is fast, but swallows injected signals.
  const fast = fault.includes(':signal=') ? [] : ['--seccomp-bpf'];
  const only = paths.flatMap((path) => ['-P', path]);
  const what = ['-e', `trace=${calls}`, '-e', `inject=${fault}`];
  return ['strace', '-D', '-f', '-qqq', ...fast, '-o', '/dev/null', ...only, ...what];
}
