import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../structure/sources.ts';
import { until, World } from '../world.ts';

/* The page's commands, run as they stand, over files of a real site; and over files that somebody was at. */

const TOOLS = ['bash', 'basenc', 'openssl', 'jq', 'ssh-keygen', 'sha256sum'];
const missing = TOOLS.filter((tool) => spawnSync('which', [tool]).status !== 0);
const page = readFileSync(join(ROOT, 'docs/verify-by-hand.md'), 'utf8');
/** Each block of commands with the output that the page promises. */
const blocks = [...page.matchAll(/```bash\n(.*?)```(?:\n```text\n(.*?)```)?/gs)].map(
  ([, commands = '', output = '']) => ({
    commands,
    output,
  }),
);
const MARK = '----- next block';

/** Runs the whole page in one shell; the output of each block. It does not stop at what fails: nor would a reader. */
function run(dir: string): string[] {
  const script = blocks.map(({ commands }) => `${commands}\necho '${MARK}'`).join('\n');
  const { stdout } = spawnSync('bash', ['-c', script], { cwd: dir, encoding: 'utf8', timeout: 180_000 });
  return stdout.split(`${MARK}\n`).slice(0, -1);
}

describe.skipIf(missing.length > 0)(`verifying by hand (needs ${TOOLS.join(', ')})`, () => {
  let world: World;
  let files: string;

  beforeAll(async () => {
    world = await World.make(join(ROOT, 'policies/field-site'));
    files = join(world.root, 'files');
    mkdirSync(files);
    const daemon = await world.daemon();
    const decision = await world.client('request').createDecision({
      action: {
        class: 'restart_service',
        intent: 'recover the relay',
        target: { type: 'service', id: 'relay-2' },
        payload: {},
      },
      context: { actor: { id: 'agent:ops-1', role: 'agent' }, environment: 'production' },
    });
    const signed = await world.sign(decision, 'approve', 'alice');
    expect(signed.stderr + signed.stdout).toContain('authorized');
    await until(
      'the approval to be there',
      async () => (await world.client('operator').entries({ limit: 50 })).entries.length > 0,
    );
    const { entries } = await world.client('operator').entries({ from: 0, limit: 200 });
    const indexOf = (type: string) => String(entries.find(({ entry }) => entry.type === type)?.index);
    for (const [name, type] of [
      ['decision', 'decision.pending_authority'],
      ['permit', 'approval.added'],
    ] as const)
      await world.holdfast('ledger', 'prove', indexOf(type), '-o', join(files, `${name}.tlog-proof`));
    await world.holdfast('site', 'export-trust', join(files, 'trust.json'));
    const bundles = join(world.paths.policy, 'bundles');
    copyFileSync(join(bundles, readdirSync(bundles)[0] ?? ''), join(files, 'bundle.json'));
    const updates = join(world.paths.policy, 'updates');
    const metadata = join(updates, readdirSync(updates)[0] ?? '', 'metadata');
    const targets = readdirSync(metadata).find((name) => name.endsWith('.targets.json')) ?? '';
    copyFileSync(join(metadata, targets), join(files, 'targets.json'));
    await daemon.kill('SIGTERM');
  }, 120_000);
  afterAll(() => world?.close());

  it('says what the page says', () => {
    expect(blocks.length).toBeGreaterThan(5);
    expect(run(files)).toEqual(blocks.map(({ output }) => output));
  }, 120_000);

  /** A copy of the files, one of them changed. */
  function changed(name: string, change: (text: string) => string): string[] {
    const dir = join(world.root, `changed-${Math.random().toString(36).slice(2)}`);
    mkdirSync(dir);
    for (const file of [
      'trust.json',
      'decision.tlog-proof',
      'permit.tlog-proof',
      'bundle.json',
      'targets.json',
    ])
      copyFileSync(join(files, file), join(dir, file));
    writeFileSync(join(dir, name), change(readFileSync(join(dir, name), 'utf8')));
    return run(dir);
  }
  const inEntry = (from: string, to: string) => (text: string) =>
    text.replace(/^extra (.*)$/m, (_, extra: string) => {
      const entry = Buffer.from(extra, 'base64').toString('utf8');
      expect(entry).toContain(from);
      return `extra ${Buffer.from(entry.replaceAll(from, to), 'utf8').toString('base64')}`;
    });

  it('finds a changed entry, checkpoint, approval and bundle', () => {
    expect(changed('decision.tlog-proof', inEntry('relay-2', 'relay-3')).join('')).not.toContain(
      'decision.tlog-proof: in the tree',
    );
    const resigned = changed('permit.tlog-proof', (text) =>
      text.replace(/^(\S+\/ledger\n)(\d+)$/m, (_, origin, size) => `${origin}${Number(size) + 1}`),
    );
    expect(resigned.join('').match(/Verified Successfully/g)).toHaveLength(1);
    const approval = changed('permit.tlog-proof', inEntry('looked at it', 'had no doubt')).join('');
    expect(approval).not.toContain('permit.tlog-proof: in the tree');
    expect(approval).not.toContain('Good "approval@holdfast" signature');
    const rules = changed('bundle.json', (text) => text.replace('field-site', 'field-sitf')).join('');
    expect(rules).not.toContain('it was decided under these rules');
    expect(rules).not.toContain('and they are over these rules');
    expect(
      changed('targets.json', (text) => text.replace(/"version": ?\d+/, '"version":9')).join(''),
    ).not.toContain('signatures that headquarters needs');
  }, 120_000);
});
