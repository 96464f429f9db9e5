import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { ed25519Signer } from '../../daemon/formats/ed25519.ts';
import { type Entry, encodeEntry } from '../../daemon/formats/entry.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { leafHash, nodeHash } from '../../daemon/formats/merkle.ts';
import {
  actionDigest,
  checkPermitUse,
  type Permit,
  permitOf,
  verifyPermit,
} from '../../daemon/formats/permit.ts';
import { formatVkey, signNote } from '../../daemon/formats/signed-note.ts';
import { parsePolicy } from '../../daemon/formats/tlog-policy.ts';
import { formatProof } from '../../daemon/formats/tlog-proof.ts';
import { codeOf } from '../codes.ts';

const UUID = '0199b1d2-0000-7000-8000-000000000001';
const site = 'outpost-7.example';
const action = {
  class: 'restart_service',
  intent: 'recover the relay',
  target: { type: 'service', id: 'relay-2' },
  payload: { grace_seconds: 5 },
};
const POLICY = 'b'.repeat(64);

const PERMIT: Permit = {
  id: `prm_${UUID}`,
  decision_id: `dec_${UUID}`,
  audience: 'gateway',
  action_digest: actionDigest(action),
  policy_digest: POLICY,
  tool: 'service-restart',
  call: {
    connector: 'exec',
    argv: ['/bin/true', 'relay-2'],
    stdin: null,
    timeout_ms: 1000,
    output_limit_bytes: 4096,
  },
  environment: 'production',
  target: { type: 'service', id: 'relay-2' },
  profile: 'dev',
  not_before: '2026-11-21T08:00:00.000Z',
  expires_at: '2026-11-21T08:05:00.000Z',
};

function json(value: unknown): JsonObject {
  return structuredClone(value) as JsonObject;
}

function authorized(data: JsonObject = {}, permit: Json = json(PERMIT)): Entry {
  return {
    v: 1,
    site,
    type: 'decision.authorized',
    at: '2026-11-21T08:00:00.000Z',
    time_trust: 'trusted',
    stream: `dec_${UUID}`,
    seq: 0,
    prev: null,
    actor: { id: 'agent:ops-1', role: 'agent' },
    data: {
      transitions: ['draft', 'evaluated', 'authorized'],
      action: json(action),
      action_digest: PERMIT.action_digest,
      context: { environment: 'production' },
      policy: { version: '1', digest: POLICY },
      enforcement: { result: 'allow', reasons: [] },
      permit,
      ...data,
    },
  };
}

function approved(data: JsonObject = {}): Entry {
  const { permit } = authorized().data;
  return {
    ...authorized(),
    type: 'approval.added',
    seq: 2,
    prev: 'c'.repeat(64),
    data: { transitions: ['authorized'], answer: 'approve', permit: permit ?? null, ...data },
  };
}

const key = ed25519Signer(new Uint8Array(32).fill(5));

/** A permit file: the entry as second leaf of two. */
function fileOf(entry: Entry, origin = `${site}/ledger`): string {
  const extra = encodeEntry(entry);
  const sibling = leafHash(Uint8Array.of(1));
  const text = formatCheckpoint({ origin, size: 2, root: nodeHash(sibling, leafHash(extra)) });
  const signer = { name: origin, vkey: formatVkey(origin, key.publicKey), sign: key.sign };
  return formatProof({ index: 1, extra, proof: [sibling], checkpoint: signNote(text, [signer]) });
}

const trust = (origin = `${site}/ledger`) => ({ origin, vkeys: [formatVkey(origin, key.publicKey)] });

describe('genuine permits', () => {
  test('of a decision that was allowed at once', () => {
    expect(verifyPermit(fileOf(authorized()), trust())).toMatchObject({
      index: 1,
      permit: PERMIT,
      entry: authorized(),
      checkpoint: { origin: `${site}/ledger`, size: 2 },
    });
  });

  test('of the approval that satisfied the authority', () => {
    expect(verifyPermit(fileOf(approved()), trust()).permit).toEqual(PERMIT);
  });

  test('of a log that goes on after a restore, and under a policy file', () => {
    const origin = `${site}/ledger/2`;
    expect(codeOf(() => verifyPermit(fileOf(authorized(), origin), trust(origin)))).toBe('accepted');
    const policy = parsePolicy(`log ${formatVkey(`${site}/ledger`, key.publicKey)}\nquorum none\n`);
    expect(codeOf(() => verifyPermit(fileOf(authorized()), { policy }))).toBe('accepted');
  });

  test('with an http call', () => {
    const call = {
      connector: 'http',
      address: 'unix:/run/t.sock',
      method: 'PUT',
      path: '/x',
      body: null,
      timeout_ms: 1,
      output_limit_bytes: 1,
    };
    expect(permitOf(authorized({}, json({ ...PERMIT, call })))?.call).toEqual(call);
  });
});

describe('genuine entries that are not that permit', () => {
  const other = { ...action, payload: { grace_seconds: 0 } };
  test.each<[string, Entry, string]>([
    ['a denial', { ...authorized({}, null), type: 'decision.denied' }, 'permit.none'],
    ['a denial with a permit in it', { ...authorized(), type: 'decision.denied' }, 'permit.not_allowed'],
    ['a queue result', authorized({ enforcement: { result: 'queue', reasons: [] } }), 'permit.not_allowed'],
    [
      'an allow that never passed into authorized',
      authorized({ transitions: ['draft', 'evaluated'] }),
      'permit.not_allowed',
    ],
    ['a rejection', approved({ answer: 'reject' }), 'permit.not_allowed'],
    ['an approval that did not complete the authority', approved({ transitions: [] }), 'permit.not_allowed'],
    ['a redemption', { ...approved(), type: 'permit.redeemed' }, 'permit.not_allowed'],
    ['another action under the same digest', authorized({ action: json(other) }), 'permit.mismatch'],
    [
      'another action with its own digest',
      authorized({ action: json(other), action_digest: actionDigest(other) }),
      'permit.mismatch',
    ],
    [
      'a further member in the action',
      authorized({ action: { ...json(action), more: 1 } }),
      'permit.mismatch',
    ],
    ['another policy', authorized({ policy: { version: '1', digest: 'd'.repeat(64) } }), 'permit.mismatch'],
    ['another environment', authorized({ context: { environment: 'test' } }), 'permit.mismatch'],
    [
      'another target',
      authorized({}, json({ ...PERMIT, target: { type: 'service', id: 'relay-3' } })),
      'permit.mismatch',
    ],
    ['another decision', { ...authorized(), stream: 'dec_other' }, 'permit.mismatch'],
    ['another permit id', authorized({}, json({ ...PERMIT, id: 'prm_other' })), 'permit.mismatch'],
    ['an entry of another site', { ...authorized(), site: 'elsewhere.example' }, 'permit.foreign_site'],
  ])('%s', (_, entry, expected) => {
    expect(codeOf(() => verifyPermit(fileOf(entry), trust()))).toBe(expected);
  });

  test.each([`${site}/ledger/x`, `${site}/ledgers`, `${site}/ledger/02`, `${site}/ledger/`])(
    'the log %s',
    (origin) => {
      expect(codeOf(() => verifyPermit(fileOf(authorized(), origin), trust(origin)))).toBe(
        'permit.foreign_site',
      );
    },
  );
});

test('a proof without its entry is no permit file', () => {
  expect(codeOf(() => verifyPermit(fileOf(authorized()).replace(/extra .*\n/, ''), trust()))).toBe(
    'permit.none',
  );
});

test('a foreign key or origin', () => {
  const stranger = ed25519Signer(new Uint8Array(32).fill(6));
  const vkeys = [formatVkey(`${site}/ledger`, stranger.publicKey)];
  expect(codeOf(() => verifyPermit(fileOf(authorized()), { vkeys }))).toBe('note.no_known_signature');
  expect(codeOf(() => verifyPermit(fileOf(authorized()), { ...trust(), origin: 'x/ledger' }))).toBe(
    'checkpoint.origin_mismatch',
  );
});

test('any changed character of the file is refused', () => {
  const file = fileOf(authorized());
  fc.assert(
    fc.property(fc.nat(file.length - 1), fc.constantFrom('A', 'z', '7', '\n', '+'), (at, char) => {
      fc.pre(file[at] !== char);
      expect(codeOf(() => verifyPermit(file.slice(0, at) + char + file.slice(at + 1), trust()))).not.toBe(
        'accepted',
      );
    }),
    { numRuns: 200 },
  );
});

describe('what is under data.permit but is no permit', () => {
  const broken: [string, Json][] = [
    ['a string', 'yes'],
    ['a list', []],
    ['an empty object', {}],
    ['a member more', { ...json(PERMIT), extra: 1 }],
    ['a session that is none', { ...json(PERMIT), breakglass: 'bg_1' }],
    ['no session under break-glass', { ...json(PERMIT), breakglass: null }],
    ...Object.keys(PERMIT).map((name): [string, Json] => [
      `${name} of the wrong type`,
      { ...json(PERMIT), [name]: 7 },
    ]),
    ['a digest in upper case', { ...json(PERMIT), action_digest: 'A'.repeat(64) }],
    ['a target with more', { ...json(PERMIT), target: { type: 'a', id: 'b', c: 'd' } }],
    ['a call of another connector', { ...json(PERMIT), call: { ...json(PERMIT.call), connector: 'shell' } }],
    ['an empty argv', { ...json(PERMIT), call: { ...json(PERMIT.call), argv: [] } }],
    ['an argv of numbers', { ...json(PERMIT), call: { ...json(PERMIT.call), argv: [1] } }],
    ['a call without a timeout', { ...json(PERMIT), call: { ...json(PERMIT.call), timeout_ms: 0 } }],
    ['a call with a shell', { ...json(PERMIT), call: { ...json(PERMIT.call), shell: true } }],
  ];
  test.each(broken)('%s', (_, permit) => {
    expect(codeOf(() => permitOf(authorized({}, permit)))).toBe('permit.shape');
  });

  test('nothing at all is simply none', () => {
    expect(permitOf(authorized({}, null))).toBeNull();
  });
});

describe('using a permit', () => {
  const start = Date.parse(PERMIT.not_before);
  const end = Date.parse(PERMIT.expires_at);
  const use = {
    now: start,
    audience: 'gateway',
    environment: 'production',
    target: { type: 'service', id: 'relay-2' },
  };

  test.each([
    ['from its first moment', {}, null],
    ['to its last', { now: end - 1 }, null],
    ['when the place is not asked', { environment: undefined, target: undefined }, null],
    ['too early', { now: start - 1 }, 'permit.not_yet_valid'],
    ['too late', { now: end }, 'permit.expired'],
    ['without a time', { now: Number.NaN }, 'permit.not_yet_valid'],
    ['for another audience', { audience: 'relay-2' }, 'permit.wrong_audience'],
    ['in another environment', { environment: 'test' }, 'permit.wrong_environment'],
    ['on another target', { target: { type: 'service', id: 'relay-3' } }, 'permit.wrong_target'],
    ['on another type of target', { target: { type: 'device', id: 'relay-2' } }, 'permit.wrong_target'],
  ])('%s', (_, change, expected) => {
    const { environment, target, ...rest } = { ...use, ...change };
    const full = { ...rest, ...(environment && { environment }), ...(target && { target }) };
    expect(checkPermitUse(PERMIT, full)?.code ?? null).toBe(expected);
  });
});

test('the action digest is over exactly four members, whatever else the object holds', () => {
  expect(actionDigest({ ...action, ...{ extra: 1 } })).toBe(actionDigest(action));
  expect(actionDigest({ ...action, intent: '' })).not.toBe(actionDigest(action));
});
