import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readArchive } from '../../daemon/evidence/archive.ts';
import { parseIndex } from '../../daemon/formats/evidence.ts';
import { EvidenceWorld, HOSTILE } from './world.ts';

/* Evidence from a real site to an auditor who has the file and a trust file. */

let world: EvidenceWorld;
const ids: Record<string, string> = {};
beforeAll(async () => {
  world = await EvidenceWorld.make();
  ids.firmware = await world.firmware();
  ids.network = await world.network();
  ids.emergency = await world.emergency();
  const { first, second } = await world.denial();
  ids.denied = first;
  ids.followed = second;
  ids.failed = await world.failure();
  ids.leaked = await world.leak();
  Object.assign(ids, await world.otherEnds());
}, 180_000);
afterAll(async () => {
  expect(await world.close()).toEqual([]);
});

const id = (name: string): string => ids[name] ?? '';

interface Verified {
  verified: boolean;
  code: number;
  findings: unknown[];
  checks: { what: string; result: string; detail: string }[];
  replay: { verdict: string; hidden: string[] };
  unproved: string[];
  evidence: { entries: { role: string; type: string; stream: string; index: number }[] };
}

async function verified(file: string, ...options: string[]): Promise<Verified & { exit: number | null }> {
  const ran = await world.verify(file, '--json', ...options);
  return { ...(JSON.parse(ran.stdout) as Verified), exit: ran.code };
}

describe('every kind of decision', () => {
  it.each([
    ['firmware', 'same', ['decision', 'policy', 'mention']],
    ['network', 'as_far_as_disclosed', ['decision', 'policy']],
    ['emergency', 'same', ['decision', 'breakglass', 'policy']],
    ['denied', 'same', ['decision', 'linked', 'policy']],
    ['followed', 'same', ['decision', 'linked', 'policy']],
    ['failed', 'same', ['decision', 'policy']],
    ['leaked', 'as_far_as_disclosed', ['decision', 'policy']],
    ['excepted', 'same', ['decision', 'policy']],
    ['rejected', 'same', ['decision', 'policy']],
    ['cancelled', 'same', ['decision', 'policy']],
  ])(
    '%s: exported, verified elsewhere, judged again',
    async (name, verdict, roles) => {
      const { file } = await world.export(id(name));
      const found = await verified(file);
      expect(found.findings).toEqual([]);
      expect({ exit: found.exit, verified: found.verified, verdict: found.replay.verdict }).toEqual({
        exit: 0,
        verified: true,
        verdict,
      });
      expect([...new Set(found.evidence.entries.map(({ role }) => role))]).toEqual(
        expect.arrayContaining(roles),
      );
      expect(found.checks.filter(({ result }) => result === 'not_checked').map(({ what }) => what)).toEqual(
        expect.arrayContaining(['Witnesses vouch for this history']),
      );
      expect(found.unproved.join(' ')).toContain('No witness vouches');
    },
    60_000,
  );

  it('takes the record of the export along', async () => {
    const { bytes } = await world.export(id('failed'));
    const index = parseIndex((await readArchive(bytes)).get('evidence.json') ?? new Uint8Array());
    const record = index.entries.find((entry) => entry.index === index.export?.record);
    expect(record).toMatchObject({ type: 'ledger.read', role: 'mention' });
    expect(index.export).toMatchObject({ by: 'carol', reason: 'audit 7' });
  });
});

describe('what names a decision', () => {
  it('is taken along from its first entry on, whatever became of it since', async () => {
    const words = {
      class: 'read_telemetry',
      target: { type: 'sensor', id: 'pump-1' },
      payload: { lines: 2 },
    };
    const context = {
      actor: { id: 'agent:ops-1', role: 'agent' },
      environment: 'production',
      request_source: 'test',
      trace: { correlation_id: null, parent_id: null },
    };
    const action = { ...words, intent: 'morning check' };
    const { decision_id } = await world.stage.requests.createDecision({ action, context });
    const record = async () => {
      const { bytes } = await world.export(decision_id);
      const index = parseIndex((await readArchive(bytes)).get('evidence.json') ?? new Uint8Array());
      return { own: index.export?.record ?? -1, all: index.entries.map((entry) => entry.index) };
    };
    const before = await record();
    const why = ['--reason', 'not needed', '--actor', 'agent:ops-1', '--role', 'agent'];
    const { code, stderr } = await world.stage.holdfast('decision', 'cancel', decision_id, ...why);
    expect(code, stderr).toBe(0);
    expect((await record()).all).toContain(before.own);
  });
});

describe('sensitive values', () => {
  it('are nowhere in the file unless they are asked for', async () => {
    const { bytes, file } = await world.export(id('network'));
    expect(bytes.includes(world.psk)).toBe(false);
    const { replay, unproved } = await verified(file);
    expect(replay.hidden).toEqual(['the value of payload.psk (withheld)']);
    expect(unproved.join(' ')).toContain('payload.psk');
  });

  it('open their commitments when they are shown', async () => {
    const { bytes, file } = await world.export(id('network'), '--show', 'psk');
    expect(bytes.includes(world.psk)).toBe(true);
    expect(await verified(file)).toMatchObject({ exit: 0, replay: { verdict: 'same', hidden: [] } });
  });

  it('are shown to nobody who may not read them, and nothing is written', async () => {
    const out = join(world.stage.dir, 'not-written.tar');
    const words = ['evidence', 'export', id('network'), '-o', out, '--reason', 'curious', '--show', 'psk'];
    const ran = await world.stage.holdfast(...words, '--actor', 'operator');
    expect({ code: ran.code, words: ran.stderr }).toMatchObject({ code: 3 });
    expect(ran.stderr).toContain('reading.not_permitted');
    expect(readdirSync(world.stage.dir)).not.toContain('not-written.tar');
  });
});

describe('from copied files', () => {
  it('proves the same without the daemon, and says that no record was written', async () => {
    const { stage } = world;
    const copy = join(stage.dir, 'copied');
    mkdirSync(copy);
    cpSync(stage.paths.policy, join(copy, 'policy'), { recursive: true });
    for (const name of readdirSync(stage.paths.state).filter((one) => one.startsWith('ledger.sqlite')))
      cpSync(join(stage.paths.state, name), join(copy, name));
    const file = join(copy, 'evidence.tar');
    const places = [
      '--ledger',
      join(copy, 'ledger.sqlite'),
      '--trust',
      world.trust,
      '--policy-store',
      join(copy, 'policy'),
    ];
    const ran = await stage.holdfast('evidence', 'export', id('firmware'), '-o', file, ...places);
    expect(ran.stderr + ran.code).toBe('0');
    expect(ran.stdout).toContain('the site has no record of this export');
    const found = await verified(file);
    expect(found).toMatchObject({ exit: 0, findings: [], replay: { verdict: 'same' } });
    expect(found.unproved.join(' ')).toContain('made of copied files');
    const again = join(copy, 'again.tar');
    await stage.holdfast('evidence', 'export', id('firmware'), '-o', again, ...places);
    expect(readFileSync(again).equals(readFileSync(file))).toBe(true);
  });
});

describe('whom the verifier believes', () => {
  it('a trust file of another site opens nothing', async () => {
    const { file } = await world.export(id('failed'));
    const other = join(world.stage.dir, 'other');
    await world.stage.holdfast('init', '--site', 'outpost-9.example', '--profile', 'dev', '--dir', other);
    const trust = join(world.stage.dir, 'other-trust.json');
    await world.stage.holdfast('site', 'export-trust', trust, '--dir', other);
    const ran = await world.stage.holdfast('evidence', 'verify', file, '--trust', trust);
    expect({ code: ran.code, word: ran.stdout.split('  ')[0] }).toEqual({ code: 13, word: 'UNKNOWN KEY' });
  });

  it('a tlog-policy says whose log, and needs a root for whose policy', async () => {
    const { file } = await world.export(id('failed'));
    const policy = ['--policy', join(world.stage.paths.trust, 'tlog-policy')];
    const ran = await world.stage.holdfast('evidence', 'verify', file, ...policy);
    expect({ code: ran.code, says: ran.stderr }).toMatchObject({ code: 2 });
    const root = ['--root', join(world.stage.paths.trust, 'root.json')];
    const whole = await world.stage.holdfast('evidence', 'verify', file, ...policy, ...root);
    expect(whole.stdout + whole.code).toMatch(/^HOLDS[\s\S]*0$/);
  });
});

describe('the report', () => {
  it('is one page in which nothing runs and nothing comes from elsewhere, whatever somebody wrote', async () => {
    const { file } = await world.export(id('firmware'));
    const out = join(world.stage.dir, 'report.html');
    const ran = await world.stage.holdfast('evidence', 'report', file, '--trust', world.trust, '-o', out);
    expect(ran.stderr + ran.code).toBe('0');
    const page = readFileSync(out, 'utf8');
    expect(page).not.toMatch(
      /<script|<img|<link|<iframe|javascript:|url\(|@import|\shref=|\ssrc=(?!x onerror)/i,
    );
    expect(page.match(/<[a-z][^>]*\son[a-z]+=/i)).toBeNull();
    expect(page).toContain("default-src 'none'");
    expect(page).not.toContain(HOSTILE);
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page).toContain('\\u{202e}');
    for (const words of [
      'The evidence holds.',
      'alice, as L3',
      'bob, as safety_officer',
      'What this does not prove',
      '2.4.1',
    ])
      expect(page).toContain(words);
  });
});

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

describe.skipIf(!has('tar') || !has('sha256sum'))('by hand, with tar and sha256sum', () => {
  it('every digest and every signature holds without us', async () => {
    const { file } = await world.export(id('firmware'));
    const dir = join(world.stage.dir, 'by-hand');
    mkdirSync(dir);
    expect(spawnSync('tar', ['xf', file, '-C', dir]).status).toBe(0);
    const sums = spawnSync('sha256sum', ['--strict', '-c', 'SHA256SUMS'], { cwd: dir });
    expect(String(sums.stderr) + sums.status).toBe('0');
    const signed = readdirSync(join(dir, 'acts')).filter((name) => name.endsWith('.sig'));
    expect(signed).toHaveLength(3);
    for (const name of signed) {
      const act = readFileSync(join(dir, 'acts', name.replace('.sig', '.json')));
      const { kind, nonce } = JSON.parse(String(act)) as { kind: string; nonce: string };
      const entry = JSON.parse(readFileSync(join(dir, 'entries', name.replace('.sig', '.json')), 'utf8'));
      const args = [
        '-Y',
        'verify',
        '-f',
        'acts/allowed_signers',
        '-n',
        `${kind}@holdfast`,
        '-s',
        `acts/${name}`,
      ];
      const check = (who: string, input: Buffer) =>
        spawnSync('ssh-keygen', [...args, '-I', who], { cwd: dir, input });
      expect(check(entry.data.principal, act).status).toBe(0);
      expect(check('dave', act).status).not.toBe(0);
      expect(
        check(entry.data.principal, Buffer.from(String(act).replace(nonce, `${nonce}x`))).status,
      ).not.toBe(0);
    }
    writeFileSync(join(dir, 'evidence.json'), 'changed');
    expect(spawnSync('sha256sum', ['--strict', '-c', 'SHA256SUMS'], { cwd: dir }).status).not.toBe(0);
  });
});

describe('later on', () => {
  const people = (person: string): string[] => [
    '--key',
    join(world.stage.paths.publisher, 'people', person),
    '--yes',
  ];
  const done = async (...words: string[]): Promise<string> => {
    const ran = await world.stage.holdfast(...words);
    expect(ran.stderr + ran.code).toMatch(/0$/);
    return ran.stdout;
  };

  it('witnesses vouch for the history, and a quorum can be asked for', async () => {
    const at = (name: string): string => join(world.stage.dir, name);
    const policy = join(world.stage.paths.trust, 'tlog-policy');
    await done('anchor', 'witness-key', at('w1.key'), '--name', 'witness.example/w1', '--unprotected');
    const own = readFileSync(policy, 'utf8').replace(/^quorum.*$/m, '');
    const asking = `${own}witness w1 ${readFileSync(at('w1.key.pub'), 'utf8').trim()}\nquorum w1\n`;
    writeFileSync(at('quorum'), asking);
    const verify = (file: string) =>
      world.stage.holdfast('evidence', 'verify', file, '--trust', world.trust, '--policy', at('quorum'));
    const before = await verify((await world.export(id('firmware'))).file);
    expect({ code: before.code, word: before.stdout.split('  ')[0] }).toEqual({
      code: 12,
      word: 'NOT COSIGNED',
    });
    for (const name of ['anchors', 'cosigned']) mkdirSync(at(name));
    await done('anchor', 'export', '-o', at('anchors'));
    const state = ['--key', at('w1.key'), '--state', at('w1.sqlite'), '--trust', world.trust, '--first-seen'];
    await done('anchor', 'cosign', at('anchors'), ...state, '-o', at('cosigned'));
    writeFileSync(policy, asking);
    await done('anchor', 'import', ...readdirSync(at('cosigned')).map((name) => join(at('cosigned'), name)));
    const after = await verify((await world.export(id('firmware'))).file);
    expect(after.stdout + after.code).toMatch(
      /^HOLDS[\s\S]*the quorum of witnesses cosigned this history[\s\S]*0$/,
    );
    expect(after.stdout).not.toContain('No witness vouches');
  }, 120_000);

  it('a value that was destroyed is said to be, and everything else still holds', async () => {
    await done(
      'decision',
      'shred',
      id('network'),
      '--field',
      'psk',
      '--reason',
      'erasure request',
      ...people('dave'),
    );
    const { file, ran } = await world.export(id('network'), '--show', 'psk');
    expect(ran.stderr).toContain('Not shown: psk');
    const found = await verified(file);
    expect(found).toMatchObject({ exit: 0, findings: [], replay: { verdict: 'as_far_as_disclosed' } });
    expect(found.replay.hidden).toEqual(['the value of payload.psk (destroyed)']);
    expect(found.evidence.entries.map(({ type }) => type)).toContain('envelope.shredded');
  });

  it('the ledger has another key, and an old trust file leads to it', async () => {
    const { file: old } = await world.export(id('firmware'));
    await done('keys', 'rotate', 'ledger', '--reason', 'yearly');
    const { file } = await world.export(id('firmware'));
    const followed = await verified(file);
    expect(followed).toMatchObject({ exit: 0, findings: [] });
    expect(followed.unproved.join(' ')).toContain('the trust file is older than the key');
    const trust = join(world.stage.dir, 'new-trust.json');
    await done('site', 'export-trust', trust);
    for (const one of [old, file]) {
      const ran = await world.stage.holdfast('evidence', 'verify', one, '--trust', trust);
      expect(ran.stdout + ran.code).toMatch(/^HOLDS[\s\S]*0$/);
      expect(ran.stdout).not.toContain('older than the key');
    }
  });
});
