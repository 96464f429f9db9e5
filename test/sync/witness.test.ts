import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { anchorName } from '../../daemon/formats/anchor.ts';
import { openCosigned } from '../../daemon/formats/cosignature.ts';
import { parseVkey } from '../../daemon/formats/signed-note.ts';
import { DEFAULT_SYNC_LIMITS, type SyncLimits } from '../../daemon/host/config/sync.ts';
import { Budget } from '../../sync/download.ts';
import { Link } from '../../sync/link.ts';
import { askWitnesses, type Witnessed } from '../../sync/witness.ts';
import { FakeLog } from '../fake-log.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { WitnessServer } from './witness-server.ts';

/* Networked witnesses: one that keeps to the protocol, wherever it stands, and ones that do not. */

const base = mkdtempSync(join(tmpdir(), 'hf-witness-'));
let certificates: Certificates;
let witness: WitnessServer;
let url: string;
let log: FakeLog;
let count = 0;
let paths: { inbox: string; outbox: string; state: string };

beforeAll(() => {
  certificates = makeCertificates(base, 'w');
});
beforeEach(async () => {
  count += 1;
  const at = (name: string): string => join(base, `${count}-${name}`);
  paths = { inbox: at('inbox'), outbox: at('outbox'), state: at('state') };
  for (const path of Object.values(paths)) mkdirSync(path);
  log = new FakeLog();
  witness = new WitnessServer('witness.example/w1', 7);
  witness.trust(log.signer.vkey);
  url = await witness.start(certificates);
  return () => witness.stop();
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** What the daemon would put there: the next link of the chain. */
function exported(old: number, size: number, of = log): void {
  mkdirSync(join(paths.outbox, 'anchors'), { recursive: true });
  writeFileSync(
    join(paths.outbox, 'anchors', anchorName({ old, size })),
    of.grow(size).anchorText(old, size),
  );
}

async function ask(limits: Partial<SyncLimits> = {}, urls = [url]): Promise<Witnessed[]> {
  const link = new Link({
    hosts: ['localhost'],
    proxy: null,
    certificate: readFileSync(certificates.client.certificate),
    key: readFileSync(certificates.client.key),
    ca: readFileSync(certificates.ca),
  });
  const budget = new Budget({ ...DEFAULT_SYNC_LIMITS, ...limits }, new AbortController().signal);
  try {
    const witnesses = urls.map((one) => ({ name: null, url: one }));
    return await askWitnesses({ link, witnesses, ...paths, budget });
  } finally {
    link.close();
  }
}

const outcome = async (): Promise<string | undefined> => {
  const [first] = await ask();
  return first?.failure?.code ?? first?.outcome;
};

function brought(): string[] {
  const directory = join(paths.inbox, 'cosignatures');
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

/** Sizes of the cosigned checkpoints in the inbox, each verified as the daemon does. */
function cosigned(): number[] {
  return brought()
    .map((name) => {
      const opened = openCosigned(readFileSync(join(paths.inbox, 'cosignatures', name)), {
        log: { origin: log.origin, vkeys: [log.signer.vkey] },
        witnesses: [parseVkey(witness.vkey)],
      });
      expect(opened.cosignatures).toMatchObject([{ witness: witness.name, time: witness.time }]);
      return opened.size;
    })
    .sort((a, b) => a - b);
}

const wanted = (): string[] => {
  const directory = join(paths.inbox, 'anchors');
  return existsSync(directory) ? readdirSync(directory) : [];
};
const statuses = () => witness.asked.map(({ status }) => status);

describe('a witness', () => {
  it('cosigns the newest anchor, from the first one on', async () => {
    expect(await outcome()).toBe('nothing');
    exported(0, 5);
    expect(await outcome()).toBe('cosigned');
    exported(5, 12);
    expect(await outcome()).toBe('cosigned');
    expect(await outcome()).toBe('cosigned');
    expect(cosigned()).toEqual([5, 12]);
    expect(statuses()).toEqual([200, 200]);
    expect(witness.asked[1]?.body).toBe(log.anchorText(5, 12));
  });

  it('that is new is shown the newest tree at once, whatever the chain', async () => {
    for (const [old, size] of [
      [0, 5],
      [5, 12],
      [12, 13],
    ] as const)
      exported(old, size);
    expect(await outcome()).toBe('cosigned');
    expect(cosigned()).toEqual([13]);
    expect(statuses()).toEqual([200]);
  });

  it('that is behind is led along the kept chain, also when the outbox has let go of it', async () => {
    exported(0, 5);
    await ask();
    witness.known.set(log.origin, { size: 5, root: Buffer.from(log.root(5)) });
    for (const [old, size] of [
      [5, 12],
      [12, 13],
      [13, 40],
    ] as const) {
      exported(old, size);
      if (size < 40) rmSync(join(paths.inbox, 'cosignatures'), { recursive: true, force: true });
    }
    rmSync(join(paths.outbox, 'anchors', anchorName({ old: 0, size: 5 })));
    expect(await outcome()).toBe('cosigned');
    expect(cosigned()).toEqual([12, 13, 40]);
    expect(statuses()).toEqual([200, 200, 200, 200]);
    // Outbox is emptied, a second witness comes along later.
    rmSync(join(paths.outbox, 'anchors'), { recursive: true });
    const late = new WitnessServer('witness.example/w2', 8);
    late.trust(log.signer.vkey);
    late.known.set(log.origin, { size: 12, root: Buffer.from(log.root(12)) });
    const lateUrl = await late.start(certificates);
    expect(await ask({}, [lateUrl])).toMatchObject([{ outcome: 'cosigned', size: 40 }]);
    expect(late.asked.map(({ status }) => status)).toEqual([409, 200, 200]);
    await late.stop();
  });

  it('that stands where the chain has no link is served by the daemon', async () => {
    exported(0, 5);
    exported(5, 30);
    witness.known.set(log.origin, { size: 17, root: Buffer.from(log.root(17)) });
    expect(await outcome()).toBe('waiting');
    expect(wanted()).toEqual(['wanted-17']);
    expect(await outcome()).toBe('waiting');
    exported(17, 30);
    expect(await outcome()).toBe('cosigned');
    expect(cosigned()).toEqual([30]);
    expect(statuses()).toEqual([409, 200]);
  });

  it('that knows more than was kept here is asked about again when the daemon has answered', async () => {
    exported(0, 5);
    log.grow(50);
    witness.known.set(log.origin, { size: 50, root: Buffer.from(log.root(50)) });
    expect(await outcome()).toBe('waiting');
    expect(wanted()).toEqual(['wanted-50']);
    exported(50, 51);
    expect(await outcome()).toBe('cosigned');
    expect(cosigned()).toEqual([51]);
  });

  it('that forgot what it saw is followed to where it says it stands', async () => {
    exported(0, 5);
    await ask();
    exported(5, 9);
    witness.known.clear();
    expect(await outcome()).toBe('cosigned');
    expect(statuses()).toEqual([200, 409, 200]);
  });

  it('whose answer was lost is asked again, and cosigns the same tree again', async () => {
    exported(0, 5);
    witness.misbehave = (_request, response) => {
      witness.addCheckpoint(witness.asked.at(-1)?.body ?? '');
      response.destroy();
    };
    expect(await outcome()).toBe('sync.unreachable');
    expect(brought()).toEqual([]);
    witness.misbehave = null;
    expect(await outcome()).toBe('cosigned');
    expect(statuses()).toEqual([0, 409, 200]);
    expect(cosigned()).toEqual([5]);
  });

  it('is given the log that goes on after a restore, not the one before', async () => {
    exported(0, 5);
    const next = new FakeLog('outpost-7.example/ledger/1', 2).grow(3);
    mkdirSync(join(paths.outbox, 'anchors/1'));
    writeFileSync(join(paths.outbox, 'anchors/1', anchorName({ old: 0, size: 3 })), next.anchorText(0));
    expect(await outcome()).toBe('sync.witness_unknown_log');
    witness.trust(next.signer.vkey);
    expect(await outcome()).toBe('cosigned');
    expect(witness.known.get(next.origin)?.size).toBe(3);
    expect(witness.known.has(log.origin)).toBe(false);
  });
});

describe('what a witness can say no to', () => {
  it('a log or a key that it does not know', async () => {
    exported(0, 5);
    witness.logs.clear();
    expect(await outcome()).toBe('sync.witness_unknown_log');
    witness.trust(new FakeLog(log.origin, 9).signer.vkey);
    expect(await outcome()).toBe('sync.witness_unknown_key');
    expect(brought()).toEqual([]);
  });

  it('another history of the size that it knows, and one that does not continue it', async () => {
    exported(0, 5);
    await ask();
    const fork = log.copy(3).grow(9, 'forged');
    writeFileSync(join(paths.outbox, 'anchors', anchorName({ old: 5, size: 9 })), fork.anchorText(5, 9));
    expect(await outcome()).toBe('sync.witness_contradicts');
    expect(statuses()).toEqual([200, 422]);
    expect(cosigned()).toEqual([5]);
    witness.known.set(log.origin, { size: 9, root: Buffer.from(log.grow(9).root(9)) });
    expect(await outcome()).toBe('sync.witness_contradicts');
    expect(statuses().slice(2)).toEqual([409, 409]);
  });

  it('does not keep the next witness back', async () => {
    exported(0, 5);
    const [first, second] = await ask({}, ['https://localhost:1/w/', url]);
    expect(first?.failure?.code).toBe('sync.unreachable');
    expect(second?.outcome).toBe('cosigned');
    const elsewhere = await ask({}, ['https://elsewhere.example/w/', url]);
    expect(elsewhere[0]?.failure?.code).toBe('sync.host_not_allowed');
  });
});

describe('a hostile witness', () => {
  const answering = (status: number, body: string, type = 'text/plain'): void => {
    witness.misbehave = (_request, response) => {
      response.writeHead(status, { 'content-type': type });
      response.end(body);
    };
  };

  it('cannot put anything but signature lines into the inbox', async () => {
    exported(0, 5);
    for (const body of [
      '',
      '\n',
      'hello\n',
      '— w AAAA',
      `— w ${'A'.repeat(12)}\n\n— w AAAAAAAA\n`,
      '— w AAAAAAAA\n'.repeat(40),
    ]) {
      answering(200, body);
      expect(await outcome()).toBe('cosignature.malformed');
    }
    answering(200, 'x'.repeat(20_000));
    expect(await outcome()).toBe('sync.witness_refused');
    expect(brought()).toEqual([]);
  });

  it('cannot keep a round going', async () => {
    exported(0, 5);
    let size = 0;
    witness.misbehave = (_request, response) => {
      size += 1;
      response.writeHead(409, { 'content-type': 'text/x.tlog.size' });
      response.end(`${size % 2 === 0 ? 0 : 5}\n`);
    };
    expect(await outcome()).toBe('sync.witness_contradicts');
    expect(size).toBeLessThan(6);
    answering(409, '-1\n', 'text/x.tlog.size');
    expect(await outcome()).toBe('sync.witness_contradicts');
    answering(409, '99999999999999999999\n', 'text/x.tlog.size');
    expect(await outcome()).toBe('sync.witness_contradicts');
    answering(302, '');
    witness.misbehave = (_request, response) =>
      response.writeHead(302, { location: 'https://localhost/' }).end();
    expect(await outcome()).toBe('sync.redirected');
    answering(500, '');
    expect(await outcome()).toBe('sync.http_status');
    witness.misbehave = () => {};
    expect((await ask({ file_seconds: 1 }))[0]?.failure?.code).toBe('sync.too_slow');
    expect(wanted()).toEqual([]);
  });

  it('cannot make sync ask for more than one proof at a time', async () => {
    exported(0, 5);
    answering(409, '9007199254740991\n', 'text/x.tlog.size');
    expect(await outcome()).toBe('waiting');
    expect(wanted()).toEqual(['wanted-9007199254740991']);
  });
});

describe('what is kept', () => {
  it('is not spoilt by files that are no anchors', async () => {
    exported(0, 5);
    const anchors = join(paths.outbox, 'anchors');
    writeFileSync(join(anchors, anchorName({ old: 5, size: 99 })), 'nonsense');
    writeFileSync(join(anchors, anchorName({ old: 5, size: 98 })), log.anchorText(0, 5));
    writeFileSync(join(anchors, 'README'), '');
    expect(await outcome()).toBe('cosigned');
    expect(cosigned()).toEqual([5]);
    // A copy of ours that is damaged is dropped, and taken again from the outbox.
    const copy = join(paths.state, 'anchors', anchorName({ old: 0, size: 5 }));
    writeFileSync(copy, 'nonsense');
    writeFileSync(
      join(paths.state, 'witnesses', readdirSync(join(paths.state, 'witnesses'))[0] ?? ''),
      'nonsense',
    );
    expect(await outcome()).toBe('nothing');
    expect(await outcome()).toBe('cosigned');
  });

  it('leads any witness to the newest tree, wherever it stands in the chain', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 6 }),
        fc.nat(),
        async (steps, pick) => {
          for (const path of Object.values(paths)) {
            rmSync(path, { recursive: true, force: true });
            mkdirSync(path);
          }
          log = new FakeLog();
          const sizes = [0];
          for (const step of steps) {
            const old = sizes.at(-1) ?? 0;
            exported(old, old + step);
            sizes.push(old + step);
          }
          const at = sizes[pick % sizes.length] ?? 0;
          witness.known.clear();
          if (at > 0) witness.known.set(log.origin, { size: at, root: Buffer.from(log.root(at)) });
          expect(await outcome()).toBe('cosigned');
          expect(cosigned().at(-1)).toBe(log.size);
          expect(witness.known.get(log.origin)?.size).toBe(log.size);
        },
      ),
      { numRuns: 15 },
    );
  });
});
