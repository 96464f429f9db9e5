import { describe, expect, it } from 'vitest';
import { Audit, type AuditReport } from '../../daemon/core/audit.ts';
import type { Entry, EntryType } from '../../daemon/formats/entry.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';

const START = Date.parse('2031-03-01T00:00:00.000Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A ledger as it grows: entries with nothing but what an audit looks at. */
class Story {
  readonly #entries: Entry[] = [];
  now = START;

  pass(ms: number): this {
    this.now += ms;
    return this;
  }

  say(type: EntryType, stream: string, data: JsonObject = {}): this {
    this.#entries.push({
      v: 1,
      site: 's',
      type,
      at: new Date(this.now).toISOString(),
      time_trust: 'floor',
      stream,
      seq: 0,
      prev: null,
      actor: { id: 'lena', role: null },
      data,
    });
    return this;
  }

  allow(id: string): this {
    const permit = {
      decision_id: id,
      tool: 'reader',
      target: { type: 'sensor', id: 'pump-1' },
      audience: 'gateway',
      expires_at: new Date(this.now + 5 * MINUTE).toISOString(),
    };
    return this.say('decision.authorized', id, { permit });
  }

  audit(live: number | null = null, since?: number): AuditReport {
    const audit = new Audit(since);
    for (const [index, entry] of this.#entries.entries()) audit.take(index, entry);
    return audit.report(live);
  }

  kinds(live: number | null = null, since?: number): string[] {
    return this.audit(live, since).findings.map(({ kind, id }) => `${kind} ${id}`);
  }
}

describe('an audit of permits', () => {
  it('has nothing to say of what was redeemed and reported', () => {
    const story = new Story().allow('dec_a').say('permit.redeemed', 'dec_a');
    story.say('permit.outcome', 'dec_a', { result: 'succeeded' });
    expect(story.audit()).toMatchObject({ findings: [], open: false, entries: 3 });
  });

  it('tells a permit that may still be used from one that never was', () => {
    const story = new Story().allow('dec_a').allow('dec_b').say('decision.cancelled', 'dec_b');
    expect(story.kinds()).toEqual(['permit.open dec_a', 'permit.unused dec_b']);
    expect(story.audit().open).toBe(false);
    // Expiry is recorded in rounds: it counts without its entry.
    expect(story.kinds(START + HOUR)).toEqual(['permit.unused dec_b', 'permit.unused dec_a']);
    story.pass(6 * MINUTE).say('decision.expired', 'dec_a');
    expect(story.audit().findings.at(-1)).toMatchObject({
      id: 'dec_a',
      detail: expect.stringContaining('expired'),
    });
  });

  it('finds what was redeemed and never reported, and what nobody knows the end of', () => {
    const story = new Story().allow('dec_a').say('permit.redeemed', 'dec_a');
    story
      .allow('dec_b')
      .say('permit.redeemed', 'dec_b')
      .say('permit.outcome', 'dec_b', { result: 'unknown' });
    expect(story.kinds()).toEqual(['outcome.missing dec_a', 'outcome.unknown dec_b']);
    expect(story.audit().open).toBe(true);
    story.say('decision.reconciled', 'dec_b', { result: 'failed' });
    expect(story.kinds()).toEqual(['outcome.missing dec_a']);
  });

  it('follows a permit that came with an approval', () => {
    const story = new Story().say('decision.pending_authority', 'dec_a');
    expect(story.kinds()).toEqual([]);
    story.say('approval.added', 'dec_a', {
      permit: {
        decision_id: 'dec_a',
        expires_at: '2031-03-01T01:00:00.000Z',
        target: { type: 't', id: 'i' },
      },
    });
    expect(story.kinds()).toEqual(['permit.open dec_a']);
  });
});

describe('an audit of what people owe', () => {
  it('lists sessions until their review, and halts until their resume', () => {
    const story = new Story().say('breakglass.activated', 'bg_1');
    story.say('incident.opened', 'inc_1', { halt: { scope: 'site' }, detail: 'x' });
    expect(story.kinds()).toEqual(['incident.open inc_1', 'breakglass.unreviewed bg_1']);
    story.pass(HOUR).say('breakglass.ended', 'bg_1').say('incident.cleared', 'inc_1');
    expect(story.kinds()).toEqual(['breakglass.unreviewed bg_1', 'incident.cleared inc_1']);
    story.say('breakglass.reviewed', 'bg_1');
    expect(story.kinds()).toEqual(['incident.cleared inc_1']);
    expect(story.audit().open).toBe(false);
  });
});

describe('an audit of heartbeats', () => {
  const beat = (story: Story, times: number) => {
    for (let n = 0; n < times; n++)
      story.pass(HOUR).say('system.heartbeat', 'system', { reason: 'scheduled', every_ms: HOUR });
    return story;
  };

  it('finds an hour in which nobody was awake', () => {
    const story = beat(new Story().say('system.started', 'system'), 3);
    expect(story.kinds()).toEqual([]);
    beat(story.pass(2 * HOUR), 1);
    expect(story.audit()).toMatchObject({
      open: true,
      findings: [
        {
          kind: 'heartbeat.gap',
          at: '2031-03-01T03:00:00.000Z',
          until: '2031-03-01T06:00:00.000Z',
          detail: 'no heartbeat for 180 min, where one is due every 60 min',
        },
      ],
    });
  });

  it('bears with one that is late, and with those that a daemon without any never made', () => {
    const story = beat(new Story().say('system.started', 'system'), 1);
    story.pass(25 * MINUTE);
    expect(beat(story, 1).kinds()).toEqual([]);
    expect(
      new Story()
        .say('system.started', 'system')
        .pass(100 * HOUR)
        .say('system.stopped', 'system')
        .kinds(),
    ).toEqual([]);
  });

  it('sees that a live site has fallen silent; a copy only ends', () => {
    const story = beat(new Story().say('system.started', 'system'), 1);
    expect(story.kinds(null)).toEqual([]);
    expect(story.kinds(story.now + 30 * MINUTE)).toEqual([]);
    expect(story.kinds(story.now + 5 * HOUR)).toEqual(['heartbeat.gap system']);
  });

  it('tells an orderly stop from an end without a word', () => {
    const story = beat(new Story().say('system.started', 'system'), 1);
    story
      .say('system.stopped', 'system')
      .pass(10 * HOUR)
      .say('system.started', 'system');
    expect(story.kinds()).toEqual(['run.off system']);
    expect(story.audit().open).toBe(false);
    story
      .pass(MINUTE)
      .say('policy.applied', 'policy')
      .pass(10 * HOUR)
      .say('system.started', 'system');
    const { findings, open } = story.audit();
    expect(open).toBe(true);
    expect(findings).toContainEqual(
      expect.objectContaining({
        kind: 'run.broken',
        at: '2031-03-01T11:01:00.000Z',
        until: '2031-03-01T21:01:00.000Z',
      }),
    );
  });
});

describe('an audit of a long story', () => {
  it('leaves out what was over before, and nothing that lasts', () => {
    const story = new Story().allow('dec_old').say('decision.cancelled', 'dec_old');
    story.allow('dec_open').say('permit.redeemed', 'dec_open');
    story.say('breakglass.activated', 'bg_1').say('breakglass.ended', 'bg_1');
    story
      .pass(100 * HOUR)
      .allow('dec_new')
      .say('decision.cancelled', 'dec_new');
    expect(story.kinds(null, START + HOUR)).toEqual([
      'outcome.missing dec_open',
      'breakglass.unreviewed bg_1',
      'permit.unused dec_new',
    ]);
  });

  it('counts everything and keeps the newest thousand', () => {
    const story = new Story();
    for (let n = 0; n < 1_200; n++) story.allow(`dec_${n}`).say('decision.cancelled', `dec_${n}`);
    const { counts, findings } = story.audit();
    expect(counts['permit.unused']).toBe(1_200);
    expect(findings).toHaveLength(1_000);
    expect(findings.at(-1)?.id).toBe('dec_1199');
  });
});

describe('an audit of a log that goes on for another', () => {
  const restored = (until: number | null): JsonObject => ({
    former: { origin: 's/ledger', size: 7 },
    missing: { from: 7, until },
    carried: { ended: { running: 2 } },
  });

  it('says what of that one is lost, and that something is missing then', () => {
    const report = new Story().say('backup.restored', 'backup', restored(12)).audit();
    expect(report.open).toBe(true);
    expect(report.findings).toMatchObject([{ kind: 'entries.lost', id: 's/ledger', index: 0 }]);
    expect(report.findings[0]?.detail).toContain('entries 7 to 11 of it are lost; 2 runs');
  });

  it('names it where nothing is known to be lost', () => {
    const report = new Story().say('backup.restored', 'backup', restored(null)).audit();
    expect(report.open).toBe(false);
    expect(report.findings).toMatchObject([{ kind: 'log.restored' }]);
  });
});
