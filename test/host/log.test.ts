import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const MODULE = join(import.meta.dirname, '../../daemon/host/log.ts');

/** Runs `program` with a logger in a process of its own, as its stderr is what counts. */
function logged(program: string, env: Record<string, string> = {}): string {
  const source = `import { createLogger } from ${JSON.stringify(MODULE)}; const log = createLogger('daemon'); ${program}`;
  return spawnSync(process.execPath, ['--input-type=module-typescript', '-e', source], {
    encoding: 'utf8',
    env,
  }).stderr;
}

describe('log', () => {
  it('writes JSON lines to stderr before the process can die', () => {
    const [line] = logged("log.info({ decision: 'dec_1' }, 'decided'); process.kill(process.pid, 'SIGKILL');")
      .trim()
      .split('\n');
    expect(JSON.parse(line ?? '')).toMatchObject({ role: 'daemon', decision: 'dec_1', msg: 'decided' });
  });

  it('withholds members that could carry a secret', () => {
    const text = logged(
      "log.info({ payload: { pin: '4711' }, request: { body: '4711', salt: '4711' }, passphrase: '4711' }, 'asked');",
    );
    expect(text).toContain('[withheld]');
    expect(text).not.toContain('4711');
  });

  it('follows HOLDFAST_LOG', () => {
    expect(logged("log.info('quiet')", { HOLDFAST_LOG: 'error' })).toBe('');
    expect(logged("log.debug('loud')", { HOLDFAST_LOG: 'debug' })).toContain('loud');
  });
});
