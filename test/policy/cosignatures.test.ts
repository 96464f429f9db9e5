import { copyFileSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { completeReply } from '../../daemon/engine/complete.ts';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { internal, textOf } from '../../daemon/engine/protocol.ts';
import { rebuildProjections } from '../../daemon/engine/rebuild.ts';
import { formatCheckpoint } from '../../daemon/formats/checkpoint.ts';
import { cosign, cosignedName, notedHead, openCosigned } from '../../daemon/formats/cosignature.ts';
import { sha256 } from '../../daemon/formats/digest.ts';
import type { Entry } from '../../daemon/formats/entry.ts';
import { parseVkey, signNote } from '../../daemon/formats/signed-note.ts';
import { parsePolicy } from '../../daemon/formats/tlog-policy.ts';
import { verifyProof } from '../../daemon/formats/tlog-proof.ts';
import { loadSigner } from '../../daemon/host/signer.ts';
import { TlogPolicyFile } from '../../daemon/host/tlog-policy-file.ts';
import { verifyLedger } from '../../daemon/ledger/verify.ts';
import { CosignatureRounds } from '../../daemon/policy/cosignature-rounds.ts';
import { takeCosigned } from '../../daemon/policy/cosignatures.ts';
import { codeOfLater } from '../codes.ts';
import { ask, testBundle } from '../engine/bundle.ts';
import { EngineFixture, SITE } from '../engine/fixture.ts';
import { checkLedger } from '../oracle.ts';
import { tlogPolicy, witness } from '../witnesses.ts';

const ORIGIN = `${SITE}/ledger`;
const [w1, w2, w3] = [witness('w1.example'), witness('w2.example'), witness('w3.example')];

let fixture: EngineFixture;

beforeEach(() => {
  fixture = new EngineFixture(testBundle());
  for (const path of [fixture.paths.inbox, fixture.paths.trust]) mkdirSync(path, { recursive: true });
  believe(2);
  onTestFinished(() => {
    checkLedger(fixture.paths, { origin: ORIGIN, vkeys: [fixture.vkey] });
    expect(fixture.reports).toEqual([]);
    fixture.close();
  });
});

function believe(k: number | null, witnesses = [w1, w2, w3]): void {
  writeFileSync(join(fixture.paths.trust, 'tlog-policy'), tlogPolicy(fixture.vkey, witnesses, k));
}

function options() {
  const policy = new TlogPolicyFile(join(fixture.paths.trust, 'tlog-policy'));
  return {
    engine: fixture.handle(),
    trust: () => ({ origin: ORIGIN, vkeys: [fixture.vkey] }),
    witnesses: () => policy.read(),
  };
}

const take = (note: string) => takeCosigned(note, options());

/** Something happens; then the newest checkpoint. */
function checkpoint(): string {
  expect(fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:pump-1') }).status).toBe(200);
  return text('ledger.checkpoint');
}

function text(method: 'ledger.checkpoint' | 'ledger.proof', args: Record<string, string> = {}): string {
  const [draft] = fixture.engine.process([{ ...internal(method, null), args }]).replies;
  if (draft === undefined) throw new Error('no reply');
  return textOf(completeReply(draft));
}

const seconds = (ms: number) => Math.floor(ms / 1_000);
const now = () => seconds(fixture.clock.now());

function entries(): Entry[] {
  return checkLedger(fixture.paths, { origin: ORIGIN, vkeys: [fixture.vkey] }).entries;
}

describe('cosignatures', () => {
  it('are recorded, once each, with the words themselves', async () => {
    const note = checkpoint();
    const one = cosign(note, w1, now());
    expect(await take(one)).toMatchObject({ recorded: ['w1.example'], known: [], quorum: false });
    expect(await take(cosign(one, w2, now()))).toMatchObject({
      recorded: ['w2.example'],
      known: ['w1.example'],
      quorum: true,
    });
    const again = await take(cosign(one, w2, now() + 1));
    expect(again).toMatchObject({ recorded: [], known: ['w1.example', 'w2.example'], record_id: null });
    const found = entries().filter(({ type }) => type === 'anchor.cosigned');
    expect(found.map(({ data }) => data.cosignatures)).toMatchObject([
      [{ vkey: w1.vkey }],
      [{ vkey: w2.vkey }],
    ]);
    const kept = openCosigned(String(found[1]?.data.note), {
      log: { origin: ORIGIN, vkeys: [fixture.vkey] },
      witnesses: [parseVkey(w2.vkey)],
    });
    expect(kept.cosignatures).toMatchObject([{ witness: 'w2.example' }]);
  });

  it('give out checkpoints and proofs that a quorum stands behind', async () => {
    const note = checkpoint();
    const { size } = notedHead(note);
    expect(text('ledger.checkpoint', { cosigned: 'true' })).toContain('ledger.not_cosigned');
    await take(cosign(note, w1, now()));
    expect(text('ledger.checkpoint', { cosigned: 'true' })).toContain('ledger.not_cosigned');
    await take(cosign(note, w3, now()));
    // A newer one that only one witness cosigned is no reason to give that out.
    await take(cosign(checkpoint(), w2, now()));
    const policy = parsePolicy(tlogPolicy(fixture.vkey, [w1, w2, w3], 2));
    expect(notedHead(text('ledger.checkpoint', { cosigned: 'true' })).size).toBe(size);
    const proof = text('ledger.proof', { index: String(size - 1), cosigned: 'true' });
    expect(verifyProof(proof, { policy })).toMatchObject({ index: size - 1, checkpoint: { size } });
    expect(() => verifyProof(text('ledger.proof', { index: '3' }), { policy })).toThrow('quorum');
    expect(text('ledger.proof', { index: String(size), cosigned: 'true' })).toContain('ledger.not_cosigned');
    expect(text('ledger.proof', { index: '999', cosigned: 'true' })).toContain('ledger.entry_not_found');
  });

  it('are found among many that fewer witnesses made', async () => {
    const note = checkpoint();
    await take(cosign(cosign(note, w1, now()), w3, now()));
    for (let more = 0; more < 200; more += 1) await take(cosign(checkpoint(), w2, now()));
    const { size } = notedHead(note);
    expect(notedHead(text('ledger.checkpoint', { cosigned: 'true' })).size).toBe(size);
    believe(1);
    expect(notedHead(text('ledger.checkpoint', { cosigned: 'true' })).size).toBeGreaterThan(size + 190);
    believe(3);
    expect(text('ledger.checkpoint', { cosigned: 'true' })).toContain('ledger.not_cosigned');
  });

  it('outlive a crash, a rebuild and a check of the tables', async () => {
    await take(cosign(cosign(checkpoint(), w1, now()), w2, now()));
    const before = text('ledger.checkpoint', { cosigned: 'true' });
    fixture.reopen();
    expect(text('ledger.checkpoint', { cosigned: 'true' })).toBe(before);
    fixture.engine.close();
    rebuildProjections(fixture.paths.ledger);
    const report = await verifyLedger({
      ledgerPath: fixture.paths.ledger,
      trust: { origin: ORIGIN, vkeys: [fixture.vkey] },
      projectionChecks: (database) => checkProjections(database),
    });
    expect(report.findings).toEqual([]);
    fixture.engine = fixture.open();
    expect(text('ledger.checkpoint', { cosigned: 'true' })).toBe(before);
  });

  it('by witnesses that nobody named, or with a line that is damaged, are refused', async () => {
    const note = checkpoint();
    const stranger = cosign(note, witness('stranger.example'), now());
    expect(await codeOfLater(take(stranger))).toBe('cosignature.unknown_witness');
    expect(await codeOfLater(take(note))).toBe('cosignature.unknown_witness');
    const elsewhere = cosign(note, w1, now()).split('\n').at(-2);
    const damaged = `${checkpoint()}${elsewhere}\n`;
    expect(await codeOfLater(take(damaged))).toBe('cosignature.bad_signature');
    // Year 33,658: a time that no calendar of ours has.
    expect(await codeOfLater(take(cosign(note, w1, 1e12)))).toBe('cosignature.bad_signature');
    expect(await codeOfLater(take(cosign(note, witness(ORIGIN), now())))).toBe('cosignature.unknown_witness');
    expect(entries().some(({ type }) => type === 'anchor.cosigned')).toBe(false);
  });

  it('of another log, or one that anybody signed, are refused', async () => {
    const head = { ...notedHead(checkpoint()), origin: ORIGIN };
    const other = { ...head, origin: 'other.example/ledger' };
    const own = loadSigner(join(fixture.paths.keys, 'ledger.key'));
    expect(await codeOfLater(take(cosign(signNote(formatCheckpoint(other), [own]), w1, now())))).toBe(
      'checkpoint.origin_mismatch',
    );
    const forged = signNote(formatCheckpoint(head), [{ ...own, sign: witness('x').sign }]);
    expect(await codeOfLater(take(cosign(forged, w1, now())))).toBe('note.bad_signature');
    expect(entries().some(({ type }) => type.startsWith('incident.'))).toBe(false);
  });

  it('whatever else comes is refused without a word in the ledger', async () => {
    const note = cosign(checkpoint(), w1, now());
    const size = entries().length;
    let unspoilt = false;
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: note.length - 2 }),
        fc.string({ minLength: 1, maxLength: 8 }),
        async (at, junk) => {
          const code = await codeOfLater(take(note.slice(0, at) + junk + note.slice(at + junk.length)));
          // What was put there may be what stood there.
          if (code === 'accepted') unspoilt = true;
          else expect(code).toMatch(/^(note|base64|checkpoint|cosignature)\./);
        },
      ),
      { numRuns: 60 },
    );
    expect(entries().length).toBe(size + (unspoilt ? 1 : 0));
  });

  it('do not fill the ledger, however many a witness makes', async () => {
    let code = 'accepted';
    let taken = -1;
    for (; code === 'accepted' && taken < 300; taken += 1)
      code = await codeOfLater(take(cosign(checkpoint(), w1, now())));
    expect([code, taken]).toEqual(['ledger.unavailable', 256]);
    fixture.clock.pass(3_600_000);
    expect(await take(cosign(checkpoint(), w1, now()))).toMatchObject({ recorded: ['w1.example'] });
  });

  it('need a tlog-policy that can be read', async () => {
    const note = cosign(checkpoint(), w1, now());
    writeFileSync(join(fixture.paths.trust, 'tlog-policy'), 'witness w1\nquorum none\n');
    expect(await codeOfLater(take(note))).toBe('tlog_policy.malformed');
    expect(fixture.call('status.get').body.witnesses).toBeNull();
    believe(1);
    expect(await take(note)).toMatchObject({ recorded: ['w1.example'], quorum: true });
    expect(fixture.call('status.get').body.witnesses).toMatchObject({
      quorum: 'all-of-them',
      newest: { size: notedHead(note).size, by: ['w1.example'] },
    });
  });
});

describe('a checkpoint of another history', () => {
  /** What the site's key signs about a tree that is not this one. */
  function fork(size: number): string {
    const own = loadSigner(join(fixture.paths.keys, 'ledger.key'));
    return signNote(formatCheckpoint({ origin: ORIGIN, size, root: sha256(Buffer.from('another')) }), [own]);
  }

  it('halts the site, whoever brings it, cosigned or not', async () => {
    const size = entries().length;
    expect(await codeOfLater(take(cosign(fork(size - 1), w1, now())))).toBe('ledger.forked');
    expect(await codeOfLater(take(fork(size - 1)))).toBe('ledger.forked');
    const [incident, ...more] = entries().filter(({ type }) => type === 'incident.opened');
    expect(more).toEqual([]);
    expect(incident?.data).toMatchObject({
      cause: 'history_contradicted',
      halt: { scope: 'site' },
      evidence: { size: size - 1, witnesses: ['w1.example'] },
    });
    expect(
      fixture.call('decisions.create', { json: ask('read_telemetry', 'sensor:pump-1') }).body,
    ).toMatchObject({
      status: 'denied',
    });
  });

  it('is told from a ledger that was set back', async () => {
    const { ledger, head } = fixture.paths;
    fixture.engine.stop('to be copied');
    for (const path of [ledger, head]) copyFileSync(path, `${path}.old`);
    fixture.engine = fixture.open();
    const note = checkpoint();
    fixture.engine.stop('to be set back');
    for (const path of [ledger, head]) {
      for (const ending of ['-wal', '-shm']) rmSync(`${path}${ending}`, { force: true });
      copyFileSync(`${path}.old`, path);
    }
    fixture.engine = fixture.open();
    expect(await codeOfLater(take(cosign(note, w1, now())))).toBe('ledger.set_back');
    expect(entries().at(-1)).toMatchObject({
      type: 'incident.opened',
      data: { cause: 'history_contradicted', evidence: { size: notedHead(note).size } },
    });
  });
});

describe('what witnesses say about the time', () => {
  const DAY = 86_400_000;

  it('moves the floor when a quorum agrees, no further than all of it has', async () => {
    const note = checkpoint();
    const floor = () => Date.parse(String((fixture.call('status.get').body.time as { floor: string }).floor));
    const [far, near] = [fixture.clock.now() + 300 * DAY, fixture.clock.now() + 10 * DAY];
    await take(cosign(note, w1, seconds(far)));
    expect(floor()).toBeLessThan(near);
    await take(cosign(note, w2, seconds(near)));
    expect(floor()).toBeGreaterThanOrEqual(near - 1_000);
    expect(floor()).toBeLessThan(near + DAY);
    const told = entries()
      .filter(({ type }) => type === 'anchor.cosigned')
      .map(({ data }) => data.outside_time);
    expect(told[0]).toBeUndefined();
    expect(told[1]).toMatchObject({ source: 'cosignature' });
  });

  it('is heard after a crash before anything else was stored', async () => {
    believe(1);
    const later = fixture.clock.now() + 10 * DAY;
    await take(cosign(checkpoint(), w1, seconds(later)));
    fixture.clock.boots(fixture.clock.now());
    fixture.reopen();
    expect(fixture.call('status.get').body.time).toMatchObject({ trust: 'uncertain' });
  });

  it('counts for nothing where the policy asks for no witness', async () => {
    believe(null);
    await take(cosign(checkpoint(), w1, seconds(fixture.clock.now() + 10 * DAY)));
    expect(fixture.call('status.get').body.time).not.toMatchObject({ trust: 'uncertain' });
  });
});

describe('rounds', () => {
  function rounds() {
    const heard: [string, string][] = [];
    const round = new CosignatureRounds({
      ...options(),
      inbox: fixture.paths.inbox,
      listener: {
        taken: (name) => heard.push([name, 'taken']),
        refused: (name, { code }) => heard.push([name, code]),
        failed: (error) => heard.push(['', String(error)]),
      },
    });
    return { round, heard };
  }

  it('empty the inbox: recorded away, refused aside, anything else alone', async () => {
    const inbox = join(fixture.paths.inbox, 'cosignatures');
    mkdirSync(inbox);
    const note = checkpoint();
    const { size } = notedHead(note);
    writeFileSync(join(inbox, cosignedName(size, 'w1.example')), cosign(note, w1, now()));
    writeFileSync(join(inbox, `${size}-stranger.note`), cosign(note, witness('stranger.example'), now()));
    writeFileSync(join(inbox, `${size}-large.note`), 'x'.repeat(40_000));
    writeFileSync(join(inbox, 'something else'), '');
    symlinkSync('/etc/hostname', join(inbox, `${size}-link.note`));
    const { round, heard } = rounds();
    await round.inboxRound();
    expect(heard).toEqual([
      [`${size}-large.note`, 'file.too_large'],
      [`${size}-link.note`, 'file.not_regular'],
      [`${size}-stranger.note`, 'cosignature.unknown_witness'],
      [`${size}-w1.example.note`, 'taken'],
    ]);
    expect(readdirSync(inbox).sort()).toEqual(['refused', 'something else']);
    expect(readdirSync(join(inbox, 'refused'))).toHaveLength(3);
    await round.inboxRound();
    expect(heard).toHaveLength(4);
  });

  it('wait while nothing can be recorded', async () => {
    const inbox = join(fixture.paths.inbox, 'cosignatures');
    mkdirSync(inbox);
    const note = cosign(checkpoint(), w1, now());
    const name = cosignedName(notedHead(note).size, 'w1.example');
    writeFileSync(join(inbox, name), note);
    const { round, heard } = rounds();
    const { process } = fixture.engine;
    fixture.engine.process = () => ({
      replies: [{ status: 503, body: '{"code":"ledger.unavailable","detail":"the disk is full"}' }],
      events: [],
    });
    await round.inboxRound();
    expect(heard).toEqual([]);
    expect(readdirSync(inbox)).toEqual([name]);
    fixture.engine.process = process.bind(fixture.engine);
    await round.inboxRound();
    expect(heard).toEqual([[name, 'taken']]);
  });
});
