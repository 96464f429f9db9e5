import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer, Degraded } from '../../../daemon/commands/render/status-answer.ts';
import { renderScreen } from '../../../daemon/commands/render/status-screen.ts';
import { summarize } from '../../../daemon/commands/render/status-summary.ts';
import type { JsonObject } from '../../../daemon/formats/json.ts';

const TITLE = 'outpost-7.example (appliance profile)';
const NOW = '2026-11-21T09:00:00.000Z';

const COMPONENTS = [
  ...['ledger', 'policy', 'identity', 'time', 'disk', 'gateway', 'incident', 'breakglass', 'keys', 'secrets'],
  ...['anchor', 'copy', 'backup', 'search', 'retention', 'integrity', 'siem'],
];

function wrong(component: string, words = 30): Degraded {
  const long = Array.from({ length: words }, (_, i) => `word-${i}`).join(' ');
  return {
    component,
    cause: `trouble with ${component}: ${long}`,
    since: NOW,
    effect: `Effect: ${long}.`,
    instruction: `Do: ${long}.`,
  };
}

const fresh = (environment: string, at: string, step = 'deny'): JsonObject => ({
  environment,
  freshness: { step: 'warn', next: { step, at } },
});

function daemon(changes: JsonObject = {}): Answer {
  const status = {
    ready: true,
    now: NOW,
    ledger: { size: 4711, write_state: 'ok' },
    policy: {
      environments: [
        fresh('production', '2026-11-23T09:00:00.000Z'),
        fresh('staging', '2026-11-23T09:00:00.000Z'),
      ],
    },
    decisions: { pending: 0, queued: 0, redeemed: 0, unknown: 0 },
    incidents: { open: 0, site_halted: false },
    breakglass: { open: [], unreviewed: 0 },
    held_update: null,
    anchors: { demanded: [] },
    keys: null,
    degraded: [],
    ...changes,
  };
  return { status, down: null };
}

const GATEWAY: Answer = { status: { running: 0, unreported: 0, recovered: true }, down: null };
const DOWN: Answer = {
  status: null,
  down: 'nothing listens on /run/holdfast/operator.sock: the socket does not exist',
};

const EVERYTHING = daemon({
  ready: false,
  degraded: COMPONENTS.map((component) => wrong(component)) as unknown as JsonObject[],
  decisions: { pending: 12, queued: 3, redeemed: 2, unknown: 1 },
  incidents: { open: 4, site_halted: true },
  breakglass: { open: ['bg_1'], unreviewed: 2 },
  held_update: {
    id: 'f'.repeat(64),
    serial: 9,
    missing: ['2 signatures by L4 or L5 (production, staging: rules in force)'],
    wait_until: '2026-11-22T09:00:00Z',
    effective_at: '2026-11-25T09:00:00Z',
  },
  anchors: {
    demanded: [
      { environment: 'production', step: 'warn', next: { step: 'escalate', at: '2026-11-21T10:00:00Z' } },
    ],
  },
  keys: { since: '2025-12-01T00:00:00Z', max_age_days: 365 },
});

function screen(one: Answer, other: Answer = GATEWAY): string[] {
  return renderScreen(TITLE, summarize(one, other, '/elsewhere')).split('\n');
}

function fits(lines: readonly string[]): void {
  expect(lines.length).toBeLessThanOrEqual(22);
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
}

describe('the screen of status', () => {
  it('answers the four questions in their order, and says little when all is well', () => {
    expect(screen(daemon())).toEqual([
      `READY  ${TITLE}`,
      '  safe      yes: 4,711 entries on record, nothing is known to be wrong with it',
      '  deciding  yes: everything that policy allows',
      '  waits     nothing',
      '  next      in 2 days (2026-11-23): denied, without news of policy',
    ]);
  });

  it('holds everything that can be wrong at once, the gravest first', () => {
    const lines = screen(EVERYTHING);
    fits(lines);
    const text = lines.join('\n');
    expect(lines[0]).toBe(`HALTED  ${TITLE}`);
    expect(text).toContain('  safe      NO: ');
    expect(text).toContain('  deciding  NO: ');
    expect(text).toContain('4 incidents open: holdfast incident list');
    expect(text).toContain('in 1 h (10:00Z): approvals needed, without an anchor (production)');
    expect(text.indexOf('incident: trouble')).toBeLessThan(text.indexOf('ledger: trouble'));
    expect(text.slice(-200)).toMatch(/… and \d+ more \((.|\n)*: holdfast status --all$/);
  });

  it('says in full what is wrong where there is room, and what to do before why', () => {
    const one = screen(daemon({ degraded: [wrong('policy', 5)] as unknown as JsonObject[] })).join('\n');
    expect(one).toContain('DEGRADED');
    expect(one).toContain('deciding  partly: effect: word-0');
    expect(one).toMatch(/policy: trouble[^…]*\n {2}effect {2}.*\n {2}do {6}/);
    const three = screen(
      daemon({ degraded: ['policy', 'anchor', 'copy'].map((c) => wrong(c, 12)) as unknown as JsonObject[] }),
    );
    fits(three);
    expect(three.filter((line) => line.startsWith('  do'))).toHaveLength(3);
    expect(three.filter((line) => line.startsWith('  effect'))).toHaveLength(0);
    expect(three.at(-1)).toContain('holdfast status --all');
  });

  it('does not claim to know what it could not ask', () => {
    const text = screen(DOWN, DOWN).join('\n');
    expect(text).toContain('safe      not known: the daemon does not answer');
    expect(text).toContain('waits     not known');
    expect(text.replace(/\s+/g, ' ')).toContain('Start with: holdfast daemon and holdfast gateway');
    expect(screen(daemon(), DOWN).join('\n')).toContain(
      'NO: nothing can be executed. Start it with: holdfast gateway',
    );
  });

  it('calls nothing down that this account may not ask', () => {
    const forbidden: Answer = { status: null, down: 'not permitted to use it', reason: 'forbidden' };
    const text = screen(forbidden, forbidden).join('\n').replace(/\s+/g, ' ');
    expect(text).toMatch(/^NOT KNOWN/);
    expect(text).toContain('safe not known: this account may not ask the daemon');
    expect(text).toContain('deciding not known: this account may not ask the daemon. Ask as its account');
    expect(text).not.toContain('Start');
    const half = screen(daemon(), forbidden).join('\n').replace(/\s+/g, ' ');
    expect(half).toMatch(/^NOT KNOWN/);
    expect(half).toContain('not known: this account may not ask the gateway');
  });

  it('lets no recorded text move the cursor', () => {
    const text = screen(
      daemon({
        degraded: [{ ...wrong('policy', 1), cause: '\u001b[2J\u202eowned' }] as unknown as JsonObject[],
      }),
    ).join('');
    expect(text).toContain('\\u{1b}[2J\\u{202e}owned');
  });

  it('fits whatever is wrong', () => {
    const trouble = fc.record({
      component: fc.constantFrom(...COMPONENTS),
      cause: fc.string({ maxLength: 400 }),
      since: fc.constant(NOW),
      effect: fc.lorem({ maxCount: 60 }),
      instruction: fc.lorem({ maxCount: 60 }),
    });
    const counts = fc.record({ pending: fc.nat(), queued: fc.nat(), redeemed: fc.nat(), unknown: fc.nat() });
    fc.assert(
      fc.property(
        fc.array(trouble, { maxLength: 40 }),
        counts,
        fc.boolean(),
        (degraded, decisions, ready) => {
          const answer = daemon({ degraded: degraded as unknown as JsonObject[], decisions, ready });
          fits(screen(answer));
        },
      ),
    );
  });
});
