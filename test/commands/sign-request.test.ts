import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { actToSign, openRequest, renderOpened, signRequest } from '../../daemon/commands/sign-request.ts';
import { type ApprovalRequest, formatRequest, parseRequest } from '../../daemon/formats/approval-request.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { encodePrivateKey } from '../../daemon/formats/openssh-key.ts';
import { parseAct } from '../../daemon/formats/signed-act.ts';
import { parsePublicKeyLine, verifySshSignature } from '../../daemon/formats/sshsig.ts';
import { alice, ask, bob, carol, testBundle } from '../engine/bundle.ts';
import { EngineFixture, type Person, SITE } from '../engine/fixture.ts';

let fixture: EngineFixture;
let request: ApprovalRequest;
let dir: string;
let trust: string;
let shown: string;

const at = (name: string): string => join(dir, name);
const fingerprint = ({ line }: Person): string => parsePublicKeyLine(line).fingerprint;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-request-'));
  // The fixture's clock must not be ahead of this machine's: that is an attack of its own, below.
  const bundle = testBundle();
  bundle.metadata.issued_at = `${new Date(Date.now() - 86_400_000).toISOString().slice(0, 19)}Z`;
  fixture = new EngineFixture(bundle, { start: Date.now() - 60_000 });
  const decision = fixture.call('decisions.create', {
    json: ask('install_firmware', 'device:pump-1', {
      context: { trace: { correlation_id: null, parent_id: null } },
    }),
  }).body;
  const args = { id: String(decision.decision_id) };
  fixture.call('decisions.approve', { args, json: fixture.sign(alice, decision) });
  const { checkpoint, entries } = fixture.call('decisions.entries', { args }).body;
  const text = formatRequest({
    site: SITE,
    decision: args.id,
    checkpoint: String(checkpoint),
    entries: entries as unknown as ApprovalRequest['entries'],
    signers: [
      { principal: 'bob', roles: ['safety_officer'], keys: [fingerprint(bob)] },
      { principal: 'carol', roles: ['l3', 'safety_officer'], keys: [fingerprint(carol)] },
    ],
  });
  request = parseRequest(new TextEncoder().encode(text));
  trust = at('trust.json');
  const vkeys = [fixture.vkey];
  writeFileSync(
    trust,
    JSON.stringify({ v: 1, site: SITE, origin: `${SITE}/ledger`, profile: 'dev', vkeys, root: 'e30=' }),
  );
  for (const [name, who] of Object.entries({ alice, bob, carol }))
    writeFileSync(at(name), encodePrivateKey({ seed: who.seed, comment: name }), { mode: 0o600 });
});
afterAll(() => {
  fixture.close();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => {
  shown = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    shown += String(text);
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

const wanted = { kind: 'approval', answer: 'approve', reason: 'seen', role: undefined, yes: true } as const;
const sign = (key: string, changes: object = {}, from = openRequest(request, trust)) =>
  signRequest(from, { ...wanted, ...changes }, at(key));
const changed = (change: (request: JsonObject) => void): ApprovalRequest => {
  const copy = structuredClone(request) as unknown as JsonObject;
  change(copy);
  return parseRequest(canonicalBytes(copy as Json));
};
const firstData = (copy: JsonObject): JsonObject => {
  const [first] = copy.entries as { entry: JsonObject }[];
  return (first?.entry.data ?? {}) as JsonObject;
};

describe('signing where there is no site', () => {
  it('binds what the ledger proves, in the role that is missing, and counts at the site', async () => {
    const signed = await sign('bob');
    const act = parseAct(signed.act);
    expect(act).toMatchObject({
      site: SITE,
      subject: request.decision,
      role: 'safety_officer',
      reason: 'seen',
    });
    expect(act.seen_checkpoint).toBe(`${request.checkpoint.split('\n\n')[0]}\n`);
    const reply = fixture.call('decisions.get', { args: { id: request.decision } }).body;
    expect(act.subject_digest).toEqual({ action: reply.action_digest, policy: reply.policy_digest });
    const left = Date.parse(String(reply.expires_at)) - Date.now();
    expect(act.ttl_seconds * 1000).toBeGreaterThan(left);
    expect(act.ttl_seconds * 1000).toBeLessThan(left + 700_000);
  });

  it('shows everything that there is to judge, in 80 columns and without colours', async () => {
    await sign('bob');
    for (const words of [
      'install_firmware',
      'device:pump-1',
      '"/bin/echo"',
      'agent:ops-1',
      'high, score 0.8',
      'approve by alice as l3',
      '1 signature by safety_officer (safety)',
      'bob as safety_officer',
      'checked',
      'yes. Its 2 entries are in',
      'APPROVE',
    ])
      expect(shown).toContain(words);
    expect(Math.max(...shown.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(shown).not.toContain('\u001b');
  });

  it('says when nobody vouches for what it shows, and names no checkpoint then', async () => {
    const { act } = await sign('bob', {}, openRequest(request, undefined));
    expect(parseAct(act).seen_checkpoint).toBeNull();
    expect(shown).toContain('NO. Beside the action itself');
  });

  it('signs nothing unseen: without a terminal it takes --yes', async () => {
    await expect(sign('bob', { yes: false })).rejects.toMatchObject({ code: 'sign.unconfirmed' });
    expect(shown).toContain('install_firmware');
  });

  it('leaves the choice of a role to the signer where several would count, and where the key is not known', async () => {
    await expect(sign('carol')).resolves.toBeDefined();
    const both = changed((copy) => {
      (copy.entries as Json[]).length = 1;
    });
    await expect(sign('carol', {}, openRequest(both, trust))).rejects.toMatchObject({ code: 'role.several' });
    await expect(sign('alice', {}, openRequest(both, trust))).rejects.toMatchObject({ code: 'role.several' });
    const { act } = await sign('alice', { role: 'l3' }, openRequest(both, trust));
    expect(parseAct(act).role).toBe('l3');
  });

  it('hands out the exact text for ssh-keygen, with a public key or a role', async () => {
    writeFileSync(at('bob.pub'), bob.line);
    const opened = openRequest(request, trust);
    const { text, act } = await actToSign(opened, wanted, at('bob.pub'));
    expect(parseAct(text)).toEqual(act);
    expect(act.role).toBe('safety_officer');
    const byRole = await actToSign(opened, { ...wanted, role: 'l3' }, undefined);
    expect(byRole.act.role).toBe('l3');
    expect(byRole.act.nonce).not.toBe(act.nonce);
  });

  it('signs a no', async () => {
    const { act, signature } = await sign('bob', { answer: 'reject' });
    expect(parseAct(act).answer).toBe('reject');
    const message = new TextEncoder().encode(act);
    expect(verifySshSignature({ armor: signature, message, namespace: 'approval@holdfast' }).ok).toBe(true);
    expect(shown).toContain('REJECT');
  });
});

describe('a request that is not what it says', () => {
  it('is not signed: of another site, not in the ledger, or with an action that its digest does not bind', async () => {
    const foreign = changed((copy) => {
      copy.site = 'outpost-8.example';
      for (const { entry } of copy.entries as { entry: JsonObject }[]) entry.site = 'outpost-8.example';
    });
    expect(() => openRequest(foreign, trust)).toThrow(
      expect.objectContaining({ code: 'request.wrong_site' }),
    );
    const milder = changed((copy) => {
      Object.assign(firstData(copy), { risk: { band: 'low', score: 0.01, reasons: [] } });
    });
    expect(() => openRequest(milder, trust)).toThrow(
      expect.objectContaining({ code: 'request.not_included' }),
    );
    const other = changed((copy) => {
      (firstData(copy).action as JsonObject).intent = 'something else';
    });
    await expect(sign('bob', {}, openRequest(other, undefined))).rejects.toMatchObject({
      code: 'sign.not_as_shown',
    });
    expect(shown).toBe('');
  });

  it('is not signed when its decision waits no more', async () => {
    const over = changed((copy) => {
      const [, second] = copy.entries as { entry: JsonObject }[];
      Object.assign(second?.entry.data as JsonObject, { transitions: ['denied'] });
    });
    await expect(sign('bob', {}, openRequest(over, undefined))).rejects.toMatchObject({
      code: 'decision.terminal',
    });
  });

  it('is not signed on a machine whose clock stands before it', async () => {
    const later = changed((copy) => {
      for (const { entry } of copy.entries as { entry: JsonObject }[])
        entry.at = new Date(Date.now() + 3_600_000).toISOString();
    });
    await expect(sign('bob', {}, openRequest(later, undefined))).rejects.toMatchObject({
      code: 'sign.clock_behind',
      message: expect.stringContaining('Set the clock'),
    });
  });

  it('breaks nothing, whatever its entries hold', () => {
    const values = fc.oneof(fc.jsonValue(), fc.constant(null), fc.constant({}), fc.constant([]));
    const member = fc.constantFrom(
      ...Object.keys(firstData(request as unknown as JsonObject)),
      'permit',
      'answer',
    );
    fc.assert(
      fc.property(member, values, fc.boolean(), (name, value, second) => {
        const copy = structuredClone(request) as unknown as JsonObject;
        const [one, two] = copy.entries as { entry: JsonObject }[];
        Object.assign(((second ? two : one)?.entry.data ?? {}) as JsonObject, { [name]: value as Json });
        try {
          const opened = openRequest(
            parseRequest(canonicalBytes(JSON.parse(JSON.stringify(copy)) as Json)),
            undefined,
          );
          expect(renderOpened(opened)).not.toContain('\u001b');
        } catch (error) {
          expect(error).toBeInstanceOf(BoundaryError);
        }
      }),
      { numRuns: 300 },
    );
  });
});
