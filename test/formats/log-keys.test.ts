import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { formatCheckpoint, isUnknownSigner, openCheckpoint } from '../../daemon/formats/checkpoint.ts';
import type { Json } from '../../daemon/formats/json.ts';
import {
  followInLogs,
  followRotations,
  openRotation,
  signRotation,
} from '../../daemon/formats/key-rotation.ts';
import {
  currentLog,
  firstLineage,
  keysOfLogs,
  type LogLineage,
  logOf,
  mayKeySign,
  newestKey,
  parseLogs,
  succeeded,
} from '../../daemon/formats/log-keys.ts';
import { rootOf } from '../../daemon/formats/merkle.ts';
import { type NoteSigner, signNote } from '../../daemon/formats/signed-note.ts';
import { parsePolicy, withLogKey } from '../../daemon/formats/tlog-policy.ts';
import { newSigningKey, parseSigningKey } from '../../daemon/host/signer.ts';
import { codeOf } from '../codes.ts';

const ORIGIN = 'outpost-7.example/ledger';
const signer = (origin = ORIGIN): NoteSigner => parseSigningKey(newSigningKey(origin).text, 'key');
const [a, b, c, thief] = [signer(), signer(), signer(), signer()];
const first = firstLineage(ORIGIN, a.vkey);
const root = rootOf([]);
const json = (logs: readonly LogLineage[]) => JSON.parse(JSON.stringify(logs)) as Json;

/** `a` below 10, `b` below 20, then `c`. */
const log = followRotations(first, [
  signRotation({ origin: ORIGIN, size: 10 }, a, b),
  signRotation({ origin: ORIGIN, size: 20 }, b, c),
]);

const head = (size: number, ...signers: NoteSigner[]) =>
  signNote(
    formatCheckpoint({ origin: ORIGIN, size, root: Uint8Array.from(root, (byte) => byte ^ 1) }),
    signers,
  );
const opened = (note: string, keys = log.keys) => codeOf(() => openCheckpoint(note, { vkeys: keys }));

describe('the checkpoints that a key may sign', () => {
  it('lie above the one where it came, up to the one where it went', () => {
    for (const [key, from, to] of [
      [a, 1, 9],
      [b, 10, 19],
      [c, 20, 10_000],
    ] as const) {
      for (const size of [1, 9, 10, 11, 19, 20, 21, 10_000]) {
        const wanted =
          size < from ? 'checkpoint.key_early' : size > to ? 'checkpoint.key_retired' : 'accepted';
        expect([size, opened(head(size, key))]).toEqual([size, wanted]);
      }
    }
  });

  it('are opened by those who know one of two keys only', () => {
    const both = head(10, a, b);
    expect(opened(both, [{ vkey: a.vkey, from: 0, until: null }])).toBe('accepted');
    expect(opened(both, [{ vkey: b.vkey, from: 9, until: null }])).toBe('accepted');
    // Who knows both needs the new one: the old one alone could be a thief's.
    expect(openCheckpoint(both, { vkeys: log.keys }).verified.map(({ vkey }) => vkey)).toEqual([b.vkey]);
    expect(opened(head(10, a))).toBe('checkpoint.key_retired');
  });

  it('count one signature that holds, and pass over one whose time was over', () => {
    const { verified } = openCheckpoint(head(15, a, b), { vkeys: log.keys });
    expect(verified.map(({ vkey }) => vkey)).toEqual([b.vkey]);
  });

  it('are told apart from those of strangers, in words', () => {
    const error = (note: string): BoundaryError => {
      try {
        openCheckpoint(note, { vkeys: log.keys });
      } catch (thrown) {
        if (thrown instanceof BoundaryError) return thrown;
      }
      throw new Error('accepted');
    };
    const retired = error(head(21, a));
    expect(retired.message).toMatch(/rotated out, or its log closed, after size 9/);
    const stranger = error(head(21, thief));
    expect(stranger.message).toMatch(/no signature by a known key/);
    expect([retired, stranger].every(isUnknownSigner)).toBe(true);
  });

  it('have one key each', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), (size) => {
        const keys = log.keys.filter((key) => mayKeySign(key, size));
        expect(keys).toHaveLength(1);
      }),
    );
  });
});

describe('a key rotation', () => {
  const statement = signRotation({ origin: ORIGIN, size: 10 }, a, b);

  it('is a note by both keys', () => {
    expect(openRotation(statement)).toEqual({ origin: ORIGIN, size: 10, old: a.vkey, new: b.vkey });
    const lines = statement.split('\n');
    for (const gone of [6, 7])
      expect(codeOf(() => openRotation(lines.toSpliced(gone, 1).join('\n')))).not.toBe('accepted');
  });

  it('never passes for a checkpoint, nor a checkpoint for one', () => {
    expect(codeOf(() => openCheckpoint(statement, { vkeys: [a.vkey] }))).not.toBe('accepted');
    expect(codeOf(() => openRotation(head(10, a, b)))).toBe('key_rotation.malformed');
  });

  it('does not survive a changed character', () => {
    fc.assert(
      fc.property(fc.nat(statement.length - 1), fc.integer({ min: 32, max: 126 }), (at, unit) => {
        const changed = statement.slice(0, at) + String.fromCharCode(unit) + statement.slice(at + 1);
        fc.pre(changed !== statement);
        expect(codeOf(() => openRotation(changed))).not.toBe('accepted');
      }),
    );
  });

  it('of another log, by a key that is not the newest, or backwards, leads nowhere', () => {
    const other = 'else.example/ledger';
    const [x, y] = [signer(other), signer(other)];
    const useless = [
      signRotation({ origin: other, size: 30 }, x, y),
      signRotation({ origin: ORIGIN, size: 30 }, a, thief),
      signRotation({ origin: ORIGIN, size: 20 }, c, thief),
      signRotation({ origin: ORIGIN, size: 5 }, c, thief),
      signRotation({ origin: ORIGIN, size: 30 }, c, a),
      'garbage',
      '',
    ];
    expect(followRotations(log, useless)).toEqual(log);
  });

  it('leads nowhere in a log that was closed', () => {
    const next = { origin: `${ORIGIN}/1`, vkey: signer(`${ORIGIN}/1`).vkey, size: 25, root: '0'.repeat(64) };
    const logs = succeeded([log], next);
    expect(followRotations(logs[0] ?? log, [signRotation({ origin: ORIGIN, size: 24 }, c, thief)])).toEqual(
      logs[0],
    );
    expect(followInLogs(logs, [signRotation({ origin: ORIGIN, size: 30 }, c, thief)])).toEqual(logs);
  });
});

describe('the logs of a site', () => {
  const next = { origin: `${ORIGIN}/1`, vkey: signer(`${ORIGIN}/1`).vkey, size: 15, root: 'ab'.repeat(32) };
  const logs = succeeded([log], next);

  it('are written and read again', () => {
    for (const some of [[first], [log], logs]) expect(parseLogs(json(some))).toEqual(some);
  });

  it('close an old log at the head that the new one goes on from', () => {
    expect(logOf(logs, ORIGIN)?.keys.map(({ vkey, until }) => [vkey, until])).toEqual([
      [a.vkey, 9],
      [b.vkey, 15],
    ]);
    expect(currentLog(logs)).toMatchObject({ origin: next.origin, succeeds: { origin: ORIGIN, size: 15 } });
    expect(newestKey(currentLog(logs))).toEqual({ vkey: next.vkey, from: 0, until: null });
    expect(logOf(logs, 'else')).toBeNull();
    const vkeys = keysOfLogs(logs);
    expect(opened(head(15, b), vkeys)).toBe('accepted');
    expect(opened(head(16, b), vkeys)).toBe('checkpoint.key_retired');
    expect(opened(head(21, c), vkeys)).toBe('note.no_known_signature');
  });

  it.each<[string, (logs: LogLineage[]) => unknown]>([
    ['nothing', () => []],
    ['no list', () => ({})],
    ['a stranger member', ([one]) => [{ ...one, more: 1 }]],
    ['a key with a stranger member', ([one]) => [{ ...one, keys: [{ ...one?.keys[0], more: 1 }] }]],
    ['a gap between keys', ([one]) => [{ ...one, keys: [one?.keys[0], { ...one?.keys[1], from: 5 }] }]],
    ['no key', ([one]) => [{ ...one, keys: [] }]],
    [
      'a key of another log',
      ([one]) => [{ ...one, keys: [{ ...one?.keys[0], vkey: next.vkey, until: null }] }],
    ],
    ['a key that begins in the middle', ([one]) => [{ ...one, keys: [one?.keys[1]] }]],
    ['a closed log at the end', ([one]) => [one]],
    ['an open log before another', ([one, two]) => [{ ...one, keys: log.keys }, two]],
    ['a successor of nothing', ([, two]) => [two]],
    [
      'a successor of another log',
      ([one, two]) => [one, { ...two, succeeds: { ...two?.succeeds, origin: 'x' } }],
    ],
    ['another head', ([one, two]) => [one, { ...two, succeeds: { ...two?.succeeds, size: 14 } }]],
    ['a log that does not say what it follows', ([one, two]) => [one, { ...two, succeeds: undefined }]],
    ['a root that is none', ([one, two]) => [one, { ...two, succeeds: { ...two?.succeeds, root: 'x' } }]],
  ])('are refused with %s', (_what, change) => {
    const changed = JSON.parse(JSON.stringify(change(parseLogs(json(logs))))) as Json;
    expect(codeOf(() => parseLogs(changed))).toBe('logs.malformed');
  });

  it('are refused, whatever else they are', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(codeOf(() => parseLogs(value as Json))).not.toBe('accepted');
      }),
    );
  });
});

describe('the log line of a tlog-policy', () => {
  it('gets the new key, and everything else stays', () => {
    const text = `# ours\nlog ${a.vkey} https://x.example/\nlog\t${thief.vkey}\nquorum none\n`;
    const changed = withLogKey(text, [a.vkey, b.vkey], c.vkey);
    expect(changed).toBe(text.replace(a.vkey, c.vkey));
    expect(parsePolicy(changed).logs.map((log) => log.text)).toEqual([c.vkey, thief.vkey]);
  });
});
