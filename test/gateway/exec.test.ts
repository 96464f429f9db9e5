import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { ExecCall } from '../../daemon/formats/permit.ts';
import { runExec } from '../../daemon/gateway/connectors/exec.ts';
import { STREAM_HARD_LIMIT } from '../../daemon/gateway/connectors/run.ts';

const dir = mkdtempSync(join(tmpdir(), 'holdfast-exec-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const PATH = '/usr/bin:/bin';
const call = (argv: string[], more: Partial<ExecCall> = {}): ExecCall => ({
  connector: 'exec',
  argv,
  stdin: null,
  timeout_ms: 20_000,
  output_limit_bytes: 65_536,
  ...more,
});
/** A program of ours, run by this very Node by absolute path. */
const script = (source: string, ...args: string[]) => {
  const path = join(dir, `${createHash('sha256').update(source).digest('hex').slice(0, 16)}.mjs`);
  writeFileSync(path, source);
  return [process.execPath, path, ...args];
};
const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('utf8');
const hex = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Signal 0: does the process exist, and is it no zombie? */
function alive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function gone(pids: number[]): Promise<boolean> {
  for (let i = 0; i < 3_000 && pids.some(alive); i++) await new Promise((done) => setTimeout(done, 10));
  return !pids.some(alive);
}

describe('how a program ends', () => {
  it('reports success with digests and counts of the whole output', async () => {
    const run = await runExec(call(['/bin/echo', 'hello']), { path: PATH });
    expect(run.result).toBe('succeeded');
    expect(run.detail).toMatchObject({
      exit_code: 0,
      stdout_bytes: 6,
      stdout_digest: hex('hello\n'),
      stderr_bytes: 0,
    });
    expect(text(run.output?.stdout)).toBe('hello\n');
    expect(run.output?.truncated).toBe(false);
  });

  it('reports a failing exit code and stderr', async () => {
    const run = await runExec(call(script('process.stderr.write("no"); process.exit(7)')), { path: PATH });
    expect(run.result).toBe('failed');
    expect(run.detail).toMatchObject({ exit_code: 7, stderr_bytes: 2, stderr_digest: hex('no') });
  });

  it('reports a signal that was not ours', async () => {
    const run = await runExec(
      call(script('process.kill(process.pid, "SIGSEGV"); setTimeout(() => {}, 9e3)')),
      { path: PATH },
    );
    expect(run.result).toBe('failed');
    expect(run.detail.signal).toBe('SIGSEGV');
    expect(run.detail.reason).toBeUndefined();
  });

  it.each([
    ['a missing program', ['/nonexistent/tool'], 'ENOENT'],
    ['a directory', ['/usr'], 'EACCES'],
    ['a relative path', ['echo', 'x'], 'absolute'],
    ['no program', [], 'absolute'],
    ['a NUL in argv', ['/bin/echo', 'a\0b'], 'ERR_INVALID_ARG_VALUE'],
    ['an argv beyond the kernel limit', ['/bin/echo', 'x'.repeat(200_000)], 'E2BIG'],
  ])('does not start %s', async (_what, argv, reason) => {
    const run = await runExec(call(argv), { path: PATH });
    expect(run).toMatchObject({ result: 'failed', output: null });
    expect(run.detail.reason).toMatch(/^not_started: /);
    expect(run.detail.reason).toContain(reason);
    expect(run.detail.exit_code).toBeUndefined();
  });
});

describe('what a program is given', () => {
  it('hands over argv word for word: no shell looks at it', async () => {
    const words = ['$(id)', '`id`', '; id', '*', 'a b', '"', '|', '-n', ''];
    const run = await runExec(call(script('console.log(JSON.stringify(process.argv.slice(2)))', ...words)), {
      path: PATH,
    });
    expect(JSON.parse(text(run.output?.stdout))).toEqual(words);
  });

  it('gives a clean environment: LANG and PATH, nothing of ours', async () => {
    process.env.HOLDFAST_TEST_SECRET = 'leak';
    const run = await runExec(call(['/usr/bin/env']), { path: PATH });
    delete process.env.HOLDFAST_TEST_SECRET;
    expect(text(run.output?.stdout).trim().split('\n').sort()).toEqual(['LANG=C.UTF-8', `PATH=${PATH}`]);
  });

  it('starts in / in a session and process group of its own', async () => {
    const source = `import { readFileSync } from 'node:fs';
      const stat = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ');
      console.log(JSON.stringify({ cwd: process.cwd(), pid: process.pid, group: Number(stat[2]), session: Number(stat[3]) }))`;
    const run = await runExec(call(script(source)), { path: PATH });
    const seen = JSON.parse(text(run.output?.stdout));
    expect(seen.cwd).toBe('/');
    expect(seen.group).toBe(seen.pid);
    expect(seen.session).toBe(seen.pid);
  });

  it('passes none of the descriptors on that the gateway was started with', () => {
    const canary = openSync(join(dir, 'canary'), 'w');
    const module = join(import.meta.dirname, '../../daemon/gateway/connectors/exec.ts');
    const gateway = `const { runExec } = await import(${JSON.stringify(module)});
      const run = await runExec(${JSON.stringify(call(['/bin/ls', '-l', '/proc/self/fd']))}, { path: '/bin' });
      process.stdout.write(run.output.stdout);`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', gateway], {
      // Node itself closes the low ones on exec; from a gap on it leaves them as they are.
      stdio: ['ignore', 'pipe', 'inherit', canary, ...Array(60).fill('ignore'), canary],
      encoding: 'utf8',
    });
    closeSync(canary);
    expect(stdout).toContain('0 -> /dev/null');
    expect(stdout).not.toContain('canary');
  });

  it('writes stdin as one JSON object and closes it; argv does not hold it', async () => {
    const source = `import { readFileSync } from 'node:fs';
      let input = ''; for await (const chunk of process.stdin) input += chunk;
      console.log(JSON.stringify({ input: JSON.parse(input), argv: readFileSync('/proc/self/cmdline', 'utf8') }))`;
    const run = await runExec(call(script(source), { stdin: { psk: 'correct horse', n: 1 } }), {
      path: PATH,
    });
    const seen = JSON.parse(text(run.output?.stdout));
    expect(seen.input).toEqual({ psk: 'correct horse', n: 1 });
    expect(seen.argv).not.toContain('horse');
  });

  it('does not mind a program that never reads its input', async () => {
    const run = await runExec(call(['/bin/true'], { stdin: { big: 'x'.repeat(1_000_000) } }), { path: PATH });
    expect(run.result).toBe('succeeded');
  });

  it('gives an empty input when the call has none', async () => {
    const run = await runExec(call(['/bin/cat']), { path: PATH });
    expect(run.detail).toMatchObject({ exit_code: 0, stdout_bytes: 0 });
  });
});

/** Prints its own and its children's numbers, then sleeps; with `stubborn` nobody listens to SIGTERM. */
const family = (stubborn: boolean) => [
  '/bin/sh',
  '-c',
  `${stubborn ? "trap '' TERM; " : ''}/bin/sh -c 'sleep 300 & echo "[$PPID,$$,$!]"; wait; sleep 300'; sleep 300`,
];

describe('what ends a program early', () => {
  it.each([
    ['that listens to SIGTERM', false, 'SIGTERM'],
    ['that ignores SIGTERM', true, 'SIGKILL'],
  ])('kills the whole group of a program %s when its time is up', async (_what, stubborn, signal) => {
    const run = await runExec(call(family(stubborn), { timeout_ms: 3_000 }), { path: PATH });
    expect(run.result).toBe('failed');
    expect(run.detail).toMatchObject({ reason: 'timeout', signal });
    const pids: number[] = JSON.parse(text(run.output?.stdout));
    expect(pids).toHaveLength(3);
    expect(await gone(pids)).toBe(true);
  });

  it('kills what a finished program left in its group', async () => {
    const run = await runExec(call(['/bin/sh', '-c', 'sleep 300 & echo $!']), { path: PATH });
    expect(run.detail).toMatchObject({ exit_code: 0 });
    expect(await gone([Number(text(run.output?.stdout))])).toBe(true);
  });

  it('does not wait for a process of another session that holds the pipes', async () => {
    const run = await runExec(call(['/bin/sh', '-c', 'setsid sleep 300 & echo $!']), { path: PATH });
    expect(run.result).toBe('succeeded');
    const pid = Number(text(run.output?.stdout));
    if (alive(pid)) process.kill(pid, 'SIGKILL');
  });

  it('keeps up to the limit and digests everything', async () => {
    const run = await runExec(
      call(script('process.stdout.write("x".repeat(300000))'), { output_limit_bytes: 1_000 }),
      {
        path: PATH,
      },
    );
    expect(run.result).toBe('succeeded');
    expect(run.output?.stdout.length).toBe(1_000);
    expect(run.output?.truncated).toBe(true);
    expect(run.detail).toMatchObject({ stdout_bytes: 300_000, stdout_digest: hex('x'.repeat(300_000)) });
  });

  it('ends a program that floods', async () => {
    const run = await runExec(call(['/usr/bin/yes'], { output_limit_bytes: 10 }), { path: PATH });
    expect(run.result).toBe('failed');
    expect(run.detail).toMatchObject({ reason: 'output_limit', signal: 'SIGKILL' });
    expect(run.detail.stdout_bytes).toBeGreaterThan(STREAM_HARD_LIMIT);
    expect(run.output?.stdout.length).toBe(10);
  });

  it('ends a program when the gateway stops, and starts none after', async () => {
    const stopping = new AbortController();
    const mark = join(dir, 'runs');
    const program = ['/bin/sh', '-c', ': > "$0"; sleep 300', mark];
    const running = runExec(call(program), { path: PATH, signal: stopping.signal });
    while (!existsSync(mark)) await new Promise((done) => setTimeout(done, 5));
    stopping.abort();
    expect((await running).detail).toMatchObject({ reason: 'gateway_stopping', signal: 'SIGTERM' });
    const late = await runExec(call(['/bin/true']), { path: PATH, signal: stopping.signal });
    expect(late.detail.reason).toContain('not_started');
  });
});
