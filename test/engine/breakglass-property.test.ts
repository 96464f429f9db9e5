import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkProjections } from '../../daemon/engine/projection-check.ts';
import { rebuildProjections } from '../../daemon/engine/rebuild.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND } from '../../daemon/ledger/schema.ts';
import { checkLedger } from '../oracle.ts';
import { GlassSite, glassBundle, lena, leo, PLACE } from './breakglass-world.ts';
import { ask } from './bundle.ts';
import { SITE } from './fixture.ts';

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
const TARGETS = ['relay-2', 'relay-3', 'relay-22'] as const;
const ACTORS = ['agent:ops-1', 'agent:ops-2'] as const;
const PLACES = ['production', 'staging'] as const;

/** What the model knows of a session: what it is for, and when it must be over by a clock that cannot be set. */
interface Expected {
  id: string;
  target: string;
  actor: string | null;
  deadline: number;
  ended: boolean;
}

/** A clock that was set by less is taken for the same clock (`engine/timeline.ts`), so ends may be off by as much. */
const SAME_CLOCK_MS = 1_000;

/** A site, and what is known of it from outside. */
class Model {
  readonly fixture = new GlassSite(
    glassBundle({
      max_open: 3,
      lifts: { authority: true, gates: ['window', 'time.uncertain'] },
      review: { roles: ['reviewer'], within: '24h', overdue: 'escalate' },
    }),
  );
  readonly sessions: Expected[] = [];
  readonly permits: { decision: JsonObject; session: Expected }[] = [];
  /** Time that passed, as no wall clock tells it. */
  elapsed = 0;

  pass(ms: number): void {
    this.fixture.clock.pass(ms);
    this.elapsed += ms;
  }

  activate(target: string, actor: string | null, minutes: number): void {
    const place = { actor, target: { type: 'service', id: target }, ttl_seconds: minutes * 60 };
    const { status, body } = this.fixture.activate({ place });
    if (status !== 200) return;
    const deadline = this.elapsed + minutes * MINUTE;
    this.sessions.push({ id: String(body.id), target, actor, deadline, ended: false });
  }

  end(index: number): void {
    const session = this.sessions[index % Math.max(1, this.sessions.length)];
    if (session === undefined) return;
    const known = this.fixture.session({ id: session.id });
    if (this.fixture.about(known, 'end', { who: index % 2 === 0 ? lena : leo }).status === 200)
      session.ended = true;
  }

  /** Whatever is allowed and marked was asked for within an open session's scope and time. */
  ask(target: string, actor: string, environment: string): void {
    const decision = this.fixture.call('decisions.create', {
      json: ask('restart_service', `service:${target}`, {
        context: { actor: { id: actor, role: 'agent' }, environment },
      }),
    }).body;
    if (decision.permit === undefined) return;
    // Without break-glass nothing of this class is ever allowed at once.
    const under = (decision.breakglass as JsonObject | undefined)?.id;
    const session = this.sessions.find(({ id }) => id === under);
    expect(session).toBeDefined();
    if (session === undefined) return;
    expect({ ...session, target, environment }).toMatchObject({
      target: session.target,
      environment: PLACE.environment,
    });
    expect([null, actor]).toContain(session.actor);
    expect(session.ended).toBe(false);
    expect(this.elapsed).toBeLessThan(session.deadline + SAME_CLOCK_MS);
    const { expires_at, breakglass } = decision.permit as JsonObject;
    expect(breakglass).toBe(session.id);
    expect(Date.parse(String(expires_at)) - this.fixture.clock.now()).toBeLessThanOrEqual(
      session.deadline - this.elapsed + SAME_CLOCK_MS,
    );
    this.permits.push({ decision, session });
  }

  /** A permit that is redeemed is one of a session that is open. */
  redeem(index: number): void {
    const held = this.permits[index % Math.max(1, this.permits.length)];
    if (held === undefined) return;
    const { status } = this.fixture.redeem(held.decision);
    if (status !== 200) return;
    expect(held.session.ended).toBe(false);
    expect(this.elapsed).toBeLessThan(held.session.deadline + SAME_CLOCK_MS);
  }

  /** The program, or the whole machine, is started again. */
  restart(machine: boolean): void {
    this.fixture.engine.syncHead();
    if (machine) this.fixture.clock.boots(this.fixture.clock.wall);
    this.fixture.reopen();
  }

  /** Afterwards the ledger is whole, and the tables are what it says, also made anew. */
  check(): void {
    checkLedger(this.fixture.paths, { origin: `${SITE}/ledger`, vkeys: [this.fixture.vkey] });
    this.fixture.engine.close();
    const database = openDatabase(this.fixture.paths.ledger, { kind: LEDGER_KIND });
    const found = checkProjections(database);
    database.close();
    expect(found).toEqual([]);
    for (const { repaired } of rebuildProjections(this.fixture.paths.ledger)) expect(repaired).toBe(0);
    this.fixture.engine = this.fixture.open();
  }
}

const kind = <K extends string>(name: K) => fc.constant(name);
const minutes = fc.integer({ min: 1, max: 60 });
const index = fc.nat(20);
const ask_ = (target: fc.Arbitrary<string>, environment: fc.Arbitrary<string>) =>
  fc.record({ kind: kind('ask'), target, actor: fc.constantFrom(...ACTORS), environment });

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: kind('activate'),
      target: fc.constantFrom(...TARGETS),
      actor: fc.option(fc.constantFrom(...ACTORS)),
      minutes,
    }),
  },
  { weight: 6, arbitrary: ask_(fc.constant('relay-2'), fc.constant('production')) },
  { weight: 2, arbitrary: ask_(fc.constantFrom(...TARGETS), fc.constantFrom(...PLACES)) },
  { weight: 4, arbitrary: fc.record({ kind: kind('redeem'), index }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('end'), index }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('pass'), ms: fc.integer({ min: 1, max: 40 * MINUTE }) }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('tick') }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('restart') }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('boot') }) },
  // Somebody sets the clock: back to gain time, ahead to be rid of a session, a little or a lot.
  { weight: 1, arbitrary: fc.record({ kind: kind('set'), ms: fc.integer({ min: -90_000, max: 90_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: kind('set'), ms: fc.integer({ min: -400 * DAY, max: 400 * DAY }) }),
  },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const RUN: { [K in Step['kind']]: (model: Model, taken: Extract<Step, { kind: K }>) => void } = {
  activate: (model, { target, actor, minutes }) => model.activate(target, actor, minutes),
  ask: (model, { target, actor, environment }) => model.ask(target, actor, environment),
  redeem: (model, { index }) => model.redeem(index),
  end: (model, { index }) => model.end(index),
  pass: (model, { ms }) => model.pass(ms),
  set: (model, { ms }) => {
    model.fixture.clock.wall += ms;
  },
  tick: (model) => void model.fixture.engine.tick(),
  restart: (model) => model.restart(false),
  boot: (model) => model.restart(true),
};

function run(model: Model, taken: Step): void {
  const act = RUN[taken.kind] as (model: Model, taken: Step) => void;
  act(model, taken);
}

test('no permit is given or used under break-glass outside an open session, whatever is done to the clock', () => {
  let given = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      const model = new Model();
      try {
        model.activate('relay-2', null, 30);
        for (const taken of steps) run(model, taken);
        given += model.permits.length;
        model.check();
      } finally {
        model.fixture.close();
      }
    }),
    { numRuns: 60 },
  );
  // Else the property would hold for a site that never opens anything.
  expect(given).toBeGreaterThan(20);
}, 120_000);
