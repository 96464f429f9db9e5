import { afterEach, expect, test } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { parsePublicKeyLine } from '../../daemon/formats/sshsig.ts';
import { GlassSite, glassBundle, lena } from './breakglass-world.ts';
import { ask, bob } from './bundle.ts';

let site: GlassSite;
afterEach(() => site.close());

const KEY = parsePublicKeyLine(lena.line).fingerprint;

function open(): void {
  site = new GlassSite({ ...glassBundle(), suspension: { roles: ['safety_officer'] } });
}

function suspend(subject: string): void {
  const act = site.sign(
    bob,
    {},
    { subject, subject_digest: {}, answer: 'suspend', role: 'safety_officer' },
    'suspend',
  );
  expect(site.call('keys.suspend', { json: act }).status).toBe(200);
}

const restart = () => site.call('decisions.create', { json: ask('restart_service', 'service:relay-2') }).body;
const result = ({ enforcement }: JsonObject) => (enforcement as JsonObject).result;

test.each([
  ['key', KEY],
  ['person', 'lena'],
])(
  'a session ends at once with the %s that opened it, and so does what was given under it',
  (_what, name) => {
    open();
    const session = site.opened();
    const decision = restart();
    expect(result(decision)).toBe('allow');
    suspend(name);
    expect(result(restart())).toBe('deny');
    expect(site.redeem(decision).status).toBe(409);
    // A restart in between forgets nothing.
    site.reopen();
    expect(result(restart())).toBe('deny');
    site.engine.tick();
    expect(site.session(session)).toMatchObject({ state: 'ended', ended: { why: 'key_revoked' } });
    expect(site.activate().body.code).toBe('approval.revoked_key');
  },
);

test.each([
  ['key', KEY],
  ['person', 'lena'],
])('a sealed grant is worth nothing once its issuer’s %s is suspended', (_what, name) => {
  open();
  const paper = site.paper();
  expect(site.issue(paper).status).toBe(200);
  suspend(name);
  expect(site.redeemGrant(paper.id, { code: paper.code }).body.code).toBe('grant.revoked');
  expect(result(restart())).toBe('deny');
});

test('what break-glass allows is an override, and never held up by one', () => {
  const rule = {
    id: 'overrides',
    watch: 'overrides',
    above: 0.5,
    at_least: 2,
    within: '1h',
    effect: 'reject',
  } as const;
  site = new GlassSite({ ...glassBundle(), anomalies: [rule] });
  site.opened();
  const allowed = [restart(), restart(), restart()].map(result);
  expect(allowed).toEqual(['allow', 'allow', 'allow']);
  expect(site.call('anomalies.list').body.anomalies).toMatchObject([
    { rule: 'overrides', effect: 'record', principal: null, counts: { overrides: 2, decisions: 2 } },
  ]);
});
