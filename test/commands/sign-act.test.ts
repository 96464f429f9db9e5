import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ApiClient, ApiProblem, type DecisionReply } from '../../daemon/api/client.ts';
import type { Site } from '../../daemon/commands/access.ts';
import { signAbout } from '../../daemon/commands/sign-act.ts';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { publicKeyOf, signEd25519 } from '../../daemon/formats/ed25519.ts';
import { encodePrivateKey } from '../../daemon/formats/openssh-key.ts';
import { actionDigest } from '../../daemon/formats/permit.ts';
import { parseAct } from '../../daemon/formats/signed-act.ts';
import { formatVkey, signNote } from '../../daemon/formats/signed-note.ts';
import { ed25519Blob } from '../../daemon/formats/ssh-public-key.ts';
import { verifySshSignature } from '../../daemon/formats/sshsig.ts';
import { sitePaths } from '../../daemon/host/site.ts';

const ORIGIN = 'outpost-7.example/ledger';
const seed = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const ledgerKey = { seed: seed(9), vkey: formatVkey(ORIGIN, publicKeyOf(seed(9))) };

let dir: string;
let site: Site;
let shown: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-sign-'));
  const paths = sitePaths(dir);
  mkdirSync(paths.trust);
  writeFileSync(join(paths.trust, 'ledger.vkey'), `${ledgerKey.vkey}\n`);
  writeFileSync(join(paths.trust, 'root.json'), '{}');
  for (const [name, n] of [['alice', 1] as const, ['nobody', 2] as const])
    writeFileSync(join(dir, name), encodePrivateKey({ seed: seed(n), comment: name }), { mode: 0o600 });
  site = { paths, config: { site: 'outpost-7.example', profile: 'dev' } as Site['config'] };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
beforeEach(() => {
  shown = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    shown += String(text);
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

const action = {
  class: 'restart_service',
  intent: 'recover \u001b[2Jthe relay',
  target: { type: 'service', id: 'relay-2' },
  payload: { grace_seconds: 5 },
};

function decision(changes: object = {}): DecisionReply {
  return {
    decision_id: 'dec_01990000-0000-7000-8000-000000000000',
    status: 'pending_authority',
    permit_state: 'none',
    policy_version: 'field-site@1',
    policy_digest: 'c'.repeat(64),
    action_digest: actionDigest(action),
    action,
    context: { actor: { id: 'agent:ops-1', role: null }, environment: 'production' },
    policy: { gates: [], exceptions: [] },
    risk: { band: 'high', score: 0.7, reasons: ['production'] },
    authority: {
      required: [
        { group: 'peer', roles: ['l3', 'l4'], min_signatures: 1 },
        { group: 'safety', roles: ['safety_officer'], min_signatures: 1 },
      ],
      received: [],
      satisfied: false,
    },
    ...changes,
  } as unknown as DecisionReply;
}

function client(reply: DecisionReply, roles: string[] = ['l3'], checkpointBy = ledgerKey.seed): ApiClient {
  const key = `ssh-ed25519 ${Buffer.from(ed25519Blob(publicKeyOf(seed(1)))).toString('base64')} alice`;
  const alice = { kind: 'human', roles, status: 'active', keys: [{ public_key: key }] };
  const text = formatCheckpoint({ origin: ORIGIN, size: 3, root: seed(7) });
  const sign = (bytes: Uint8Array): Uint8Array => signEd25519(checkpointBy, bytes);
  return {
    socketPath: '/run/operator.sock',
    getDecision: async () => reply,
    policy: async () => ({ environments: [{ environment: 'production', principals: { alice } }] }),
    checkpoint: async () => signNote(text, [{ name: ORIGIN, vkey: ledgerKey.vkey, sign }]),
  } as unknown as ApiClient;
}

const request = {
  kind: 'approval',
  answer: 'approve',
  reason: 'seen on site',
  role: undefined,
  yes: true,
} as const;
const ask = (from: ApiClient, changes: object = {}) =>
  signAbout(from, site, decision().decision_id, { ...request, key: join(dir, 'alice'), ...changes });

describe('signing an act', () => {
  it('binds site, subject, digests, role, nonce and the checkpoint seen, and verifies', async () => {
    const { act: text, signature } = await ask(client(decision()));
    const act = parseAct(text);
    expect(act).toMatchObject({
      kind: 'approval',
      site: 'outpost-7.example',
      subject: decision().decision_id,
      subject_digest: { action: actionDigest(action), policy: 'c'.repeat(64) },
      answer: 'approve',
      role: 'l3',
      reason: 'seen on site',
      ttl_seconds: 3600,
      seen_checkpoint: formatCheckpoint({ origin: ORIGIN, size: 3, root: seed(7) }),
    });
    const message = new TextEncoder().encode(text);
    expect(verifySshSignature({ armor: signature, message, namespace: 'approval@holdfast' }).ok).toBe(true);
    expect(verifySshSignature({ armor: signature, message, namespace: 'review@holdfast' }).ok).toBe(false);
    expect(parseAct((await ask(client(decision()))).act).nonce).not.toBe(act.nonce);
  });

  it('says in words what is signed, with what others wrote made harmless', async () => {
    await ask(client(decision()));
    for (const words of [
      'as l3, APPROVE',
      'restart_service',
      'service:relay-2',
      'production',
      'grace_seconds',
      'agent:ops-1',
    ])
      expect(shown).toContain(words);
    expect(shown).toContain('recover \\u{1b}[2Jthe relay');
    expect(shown).not.toContain('\u001b[2J');
  });

  it('signs nothing when what is shown is not what the digest binds', async () => {
    const lie = decision({ action: { ...action, payload: { grace_seconds: 0 } } });
    await expect(ask(client(lie))).rejects.toMatchObject({ code: 'sign.not_as_shown' });
    const other = decision({ decision_id: 'dec_01990000-0000-7000-8000-000000000001' });
    await expect(ask(client(other))).rejects.toMatchObject({ code: 'sign.not_as_shown' });
    expect(shown).toBe('');
  });

  it.each([
    ['approval', 'authorized', 'issued', 'decision.wrong_state'],
    ['exception', 'denied', 'none', 'decision.terminal'],
    ['review', 'pending_authority', 'none', 'decision.wrong_state'],
    ['reconcile', 'executed', 'failed', 'permit.outcome_known'],
  ])('asks nobody for the %s of a decision that is %s (%s)', async (kind, status, permit_state, code) => {
    await expect(ask(client(decision({ status, permit_state })), { kind })).rejects.toMatchObject({
      code,
      detail: expect.stringMatching(/Nothing was signed\.$/),
    });
    expect(shown).toBe('');
  });

  it('signs nothing under a checkpoint that is not this ledger’s', async () => {
    await expect(ask(client(decision(), ['l3'], seed(8)))).rejects.toMatchObject({
      code: 'note.bad_signature',
    });
  });
});

describe('the role to sign in', () => {
  it('is asked for when several would count', async () => {
    await expect(ask(client(decision(), ['l3', 'safety_officer']))).rejects.toMatchObject({
      code: 'role.several',
      message: expect.stringContaining('--role'),
    });
    const { act } = await ask(client(decision(), ['l3', 'safety_officer']), { role: 'safety_officer' });
    expect(parseAct(act).role).toBe('safety_officer');
  });

  it('names what is wanted and what is held when none would count', async () => {
    await expect(ask(client(decision(), ['l2']))).rejects.toMatchObject({
      code: 'role.none',
      message: expect.stringMatching(/alice holds l2.*waits for l3, l4 or safety_officer/),
    });
    await expect(ask(client(decision()), { kind: 'exception' })).rejects.toMatchObject({
      code: 'role.none',
      message: expect.stringContaining('waits for no exception'),
    });
  });

  it('is not guessed for a key that the policy does not know', async () => {
    const stranger = { key: join(dir, 'nobody') };
    await expect(ask(client(decision()), stranger)).rejects.toMatchObject({
      code: 'role.none',
      message: expect.stringContaining('knows no owner of this key (SHA256:'),
    });
    expect(parseAct((await ask(client(decision()), { ...stranger, role: 'l3' })).act).role).toBe('l3');
  });

  it('of an exception is the one that the gate names', async () => {
    const gates = [
      { id: 'window', result: 'requires_exception', reason: 'outside the window', exception_role: 'l4' },
    ];
    const reply = decision({ policy: { gates, exceptions: [] } });
    const { act } = await ask(client(reply, ['l3', 'l4']), { kind: 'exception' });
    expect(parseAct(act)).toMatchObject({ kind: 'exception', role: 'l4' });
    expect(shown).toContain('window: outside the window');
  });

  it('of a review is any that the signer holds', async () => {
    const done = decision({ status: 'executed', permit_state: 'succeeded' });
    const { act } = await ask(client(done, ['l2']), { kind: 'review', answer: 'reviewed' });
    expect(parseAct(act).role).toBe('l2');
  });

  it('can be told where the socket does not give out the policy', async () => {
    const narrow = {
      ...client(decision()),
      socketPath: '/run/request.sock',
      policy: async () => {
        throw new ApiProblem(404, { code: 'method.not_on_this_socket', detail: 'no' });
      },
    } as unknown as ApiClient;
    const { act } = await ask(narrow, { role: 'l3' });
    expect(parseAct(act)).toMatchObject({ role: 'l3', seen_checkpoint: null });
  });
});
