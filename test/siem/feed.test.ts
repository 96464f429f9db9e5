import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FEED_FORMATS, type FeedFormat } from '../../daemon/host/config/siem.ts';
import { Feed, type FeedSource } from '../../daemon/siem/feed.ts';
import { FileSink } from '../../daemon/siem/file-sink.ts';
import { eventOfLine } from '../../daemon/siem/line.ts';
import { OutboxSink } from '../../daemon/siem/outbox-sink.ts';
import { temporaryDir } from '../host/temporary.ts';
import { EVERY_TYPE, entryOf, ORIGIN } from './entries.ts';

/** A log that grows. */
class Log implements FeedSource {
  origin = ORIGIN;
  length = 0;
  size = () => this.length;
  entries(from: number, limit: number) {
    return Array.from({ length: Math.max(0, Math.min(limit, this.length - from)) }, (_, i) => ({
      index: from + i,
      bytes: entryOf(EVERY_TYPE[(from + i) % EVERY_TYPE.length] ?? 'system.heartbeat', from + i),
    }));
  }
}

interface Place {
  dir: string;
  log: Log;
  format: FeedFormat;
  budget: number;
}

function place(format: FeedFormat = 'ocsf', budget = 100_000_000): Place {
  const dir = temporaryDir();
  mkdirSync(join(dir, 'feed'));
  return { dir, log: new Log(), format, budget };
}

function openFile({ dir, log, format, budget }: Place, from: 'start' | 'now' = 'start'): Feed {
  const sink = new FileSink({
    path: join(dir, 'feed/events'),
    format,
    rotate_bytes: 8_000,
    budget_bytes: budget,
  });
  return new Feed({ source: log, sink, format, position: join(dir, 'position.json'), from });
}

function openOutbox({ dir, log, format, budget }: Place): Feed {
  const sink = new OutboxSink({
    dir: join(dir, 'feed'),
    format,
    batch_ms: 1_000,
    batch_bytes: 6_000,
    budget_bytes: budget,
  });
  return new Feed({ source: log, sink, format, position: join(dir, 'position.json'), from: 'start' });
}

/** Every line, in the order of the files' names: those put aside first. */
function lines({ dir }: Place): string[] {
  const files = readdirSync(join(dir, 'feed')).sort(
    (a, b) => Number(a === 'events') - Number(b === 'events') || (a < b ? -1 : 1),
  );
  return files.flatMap((name) =>
    readFileSync(join(dir, 'feed', name), 'utf8')
      .split('\n')
      .slice(0, -1),
  );
}

function indices(where: Place): number[] {
  return lines(where).map((line) => eventOfLine(where.format, line)?.index ?? -1);
}

const upTo = (n: number, from = 0) => Array.from({ length: n - from }, (_, i) => from + i);

/** Steps until there is nothing to do; time enough passes for what waits. */
function run(feed: Feed, now = 0): void {
  feed.step(now);
  for (let round = 0; feed.step(now) || round < 3; round++) now += 1_000;
}

describe.each(FEED_FORMATS)('a feed to a file in %s', (format) => {
  it('tells every event once, in order, over files that are put aside', () => {
    const where = place(format);
    where.log.length = 300;
    run(openFile(where));
    expect(indices(where)).toEqual(upTo(300));
    expect(readdirSync(join(where.dir, 'feed')).length).toBeGreaterThan(3);
    expect(lines(where)[0]).toContain('[feed begins at entry 0]');
  });

  it('goes on where it stood, by its position as well as by its last line', () => {
    const where = place(format);
    where.log.length = 100;
    run(openFile(where));
    where.log.length = 140;
    run(openFile(where));
    rmSync(join(where.dir, 'position.json'));
    where.log.length = 170;
    run(openFile(where));
    expect(indices(where)).toEqual(upTo(170));
    expect(lines(where).filter((line) => line.includes('feed begins'))).toHaveLength(1);
  });

  it('cuts off half a line that a crash left, and writes it whole', () => {
    const where = place(format);
    where.log.length = 5;
    run(openFile(where));
    const file = join(where.dir, 'feed/events');
    truncateSync(file, readFileSync(file).length - 20);
    rmSync(join(where.dir, 'position.json'));
    where.log.length = 8;
    run(openFile(where));
    expect(indices(where)).toEqual(upTo(8));
  });
});

describe('a feed to a file', () => {
  it('goes on after a collector took every file away', () => {
    const where = place();
    where.log.length = 40;
    const feed = openFile(where);
    run(feed);
    for (const name of readdirSync(join(where.dir, 'feed'))) unlinkSync(join(where.dir, 'feed', name));
    where.log.length = 60;
    run(feed);
    where.log.length = 80;
    run(openFile(where));
    expect(indices(where)).toEqual(upTo(80, 40));
  });

  it('waits when its budget is used up, and loses nothing', () => {
    const where = place('ocsf', 30_000);
    where.log.length = 100;
    const feed = openFile(where);
    run(feed);
    const before = indices(where);
    expect(feed.state()).toMatchObject({ full: true, next: before.length, behind: 100 - before.length });
    expect(feed.state().bytes).toBeLessThanOrEqual(30_000);
    const collected: number[] = [];
    for (let round = 0; round < 50 && feed.state().behind > 0; round++) {
      collected.push(...indices(where));
      for (const name of readdirSync(join(where.dir, 'feed'))) unlinkSync(join(where.dir, 'feed', name));
      run(feed);
    }
    expect([...collected, ...indices(where)]).toEqual(upTo(100));
    expect(feed.state().full).toBe(false);
  });

  it('begins with what comes, where it is told to', () => {
    const where = place();
    where.log.length = 50;
    const feed = openFile(where, 'now');
    where.log.length = 55;
    run(feed);
    expect(indices(where)).toEqual(upTo(55, 50));
  });

  it('tells another log from its first entry, in a file of its own, with a mark', () => {
    const where = place();
    where.log.length = 20;
    run(openFile(where));
    where.log.origin = `${ORIGIN}/2`;
    where.log.length = 5;
    run(openFile(where));
    expect(indices(where).slice(-5)).toEqual(upTo(5));
    const events = readFileSync(join(where.dir, 'feed/events'), 'utf8');
    expect(events).toContain('[feed begins at entry 0]');
    expect(events).not.toContain(`${ORIGIN}#`);
  });

  it('does not mistake a file of somebody else for its own', () => {
    const where = place();
    appendFileSync(join(where.dir, 'feed/events'), 'one line\nand another\n');
    where.log.length = 3;
    run(openFile(where));
    expect(lines(where).slice(0, 2)).toEqual(['one line', 'and another']);
    expect(indices(where).slice(2)).toEqual(upTo(3));
  });
});

describe('a feed to the outbox', () => {
  it('writes whole files by size and by age, each named after its events', () => {
    const where = place();
    where.log.length = 30;
    const feed = openOutbox(where);
    feed.step(0);
    const bySize = indices(where).length;
    expect(bySize).toBeGreaterThan(0);
    expect(bySize).toBeLessThan(30);
    feed.step(999);
    expect(indices(where)).toHaveLength(bySize);
    feed.step(1_000);
    expect(indices(where)).toEqual(upTo(30));
    expect(readdirSync(join(where.dir, 'feed'))[0]).toMatch(
      /^[0-9a-f]{8}-000000000000-0000000000\d\d\.jsonl$/,
    );
  });

  it('waits while headquarters has acknowledged too little, and loses nothing', () => {
    const where = place('ocsf', 25_000);
    where.log.length = 60;
    const feed = openOutbox(where);
    const seen: number[] = [];
    for (let round = 0; round < 50 && feed.state().behind > 0; round++) {
      run(feed, round * 10_000);
      expect(feed.state().bytes).toBeLessThanOrEqual(25_000);
      seen.push(...indices(where));
      for (const name of readdirSync(join(where.dir, 'feed'))) unlinkSync(join(where.dir, 'feed', name));
    }
    expect(seen).toEqual(upTo(60));
  });
});

/** What may happen between two steps. */
const happenings = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('grow' as const), by: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('step' as const), at: fc.integer({ min: 0, max: 5_000 }) }),
    // The process dies: what it held in memory is gone.
    fc.record({ kind: fc.constant('crash' as const) }),
    // It dies between making its lines durable and noting it down.
    fc.record({ kind: fc.constant('crash before the note' as const) }),
  ),
  { maxLength: 25 },
);

describe('crashes at any moment', () => {
  it.each([
    ['file', openFile],
    ['outbox', openOutbox],
  ] as const)('neither lose nor repeat an event in a feed to %s', (_, open) => {
    fc.assert(
      fc.property(fc.constantFrom(...FEED_FORMATS), happenings, (format, steps) => {
        const where = place(format);
        const note = join(where.dir, 'position.json');
        where.log.length = 1;
        let feed = open(where);
        for (const step of steps) {
          if (step.kind === 'grow') where.log.length += step.by;
          else if (step.kind === 'step') feed.step(step.at);
          else if (step.kind === 'crash') feed = open(where);
          else {
            const before = existsSync(note) ? readFileSync(note) : null;
            feed.step(10_000);
            rmSync(note, { force: true });
            if (before !== null) appendFileSync(note, before);
            feed = open(where);
          }
        }
        run(feed, 20_000);
        expect(indices(where)).toEqual(upTo(where.log.length));
      }),
      { numRuns: 60 },
    );
  });
});
