import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { ActKind } from '../../daemon/formats/signed-act.ts';
import { SITE } from '../engine/fixture.ts';
import { checkLedger } from '../oracle.ts';
import { type Kind, Model, type ModelDecision, type Name } from './model.ts';
import { ModelSite, modelBundle } from './model-world.ts';

/*
 * Random interleavings of everything that can be done to a site, against a small model of the rules. After each command
 * both must have said the same, every decision must stand as the model has it, and no permit may exist that the model did
 * not give. `MODEL_RUNS` sets how many; a failure prints seed and path, with which fast-check runs it again.
 */

const RUNS = Number(process.env.MODEL_RUNS ?? 40);
const LONGEST = 60;

interface Step {
  words: string;
  run(model: Model, site: ModelSite): readonly [expected: boolean, really: boolean];
}

/** One command on an existing decision; nothing where there is none yet. */
function onDecision(
  words: string,
  pick: number,
  run: (decision: ModelDecision, index: number, model: Model, site: ModelSite) => readonly [boolean, boolean],
): Step {
  return {
    words,
    run: (model, site) => {
      // Mostly one of the newest: that is where something can still happen.
      const { length } = model.decisions;
      const index = length === 0 ? -1 : length - 1 - (pick % Math.min(length, pick > 15 ? length : 3));
      const decision = model.decisions[index];
      return decision === undefined ? [true, true] : run(decision, index, model, site);
    },
  };
}

const name = fc.constantFrom<Name>('alice', 'bob', 'carol', 'lena');
const pick = fc.nat(20);

const creating = (kind: Kind): Step => ({
  words: `create ${kind}`,
  run: (model, site) => {
    const { status } = model.create(kind);
    return [true, site.make(kind).status === status];
  },
});
const create = fc.constantFrom<Kind>('read', 'firmware', 'firmware', 'wipe', 'glass').map(creating);

const answering = (who: Name, role: string, yes: boolean, at: number): Step =>
  onDecision(`${who} as ${role} says ${yes ? 'yes' : 'no'} to ${at}`, at, (decision, index, model, site) => {
    const answered = { role, answer: yes ? 'approve' : 'reject' };
    return [model.answer(decision, who, role, yes), site.act(index, who, 'approval', answered)];
  });
const answer = fc
  .record({
    who: name,
    role: fc.constantFrom('l3', 'safety_officer', 'l5'),
    yes: fc.integer({ min: 0, max: 9 }),
    at: pick,
  })
  .map(({ who, role, yes, at }) => answering(who, role, yes > 0, at));

const afterwards = fc
  .record({ kind: fc.constantFrom<ActKind>('review', 'reconcile'), at: pick })
  .map(({ kind, at }) =>
    onDecision(`carol: ${kind} ${at}`, at, (decision, index, model, site) => {
      const expected = kind === 'review' ? model.review(decision) : model.reconcile(decision);
      const said = { role: 'l3', answer: kind === 'review' ? 'reviewed' : 'failed' };
      return [expected, site.act(index, 'carol', kind, said)];
    }),
  );

const cancel = pick.map((at) =>
  onDecision(`cancel ${at}`, at, (decision, index, model, site) => {
    // A permit that ran out may be on record as expired already; then there is nothing to withdraw.
    const lapsed = model.shown(decision).length > 1 && site.show(index).status === 'expired';
    if (lapsed) decision.status = 'expired';
    return [model.cancel(decision), site.cancel(index)];
  }),
);

const redeeming = (at: number): Step =>
  onDecision(`redeem ${at}`, at, (decision, index, model, site) => [model.redeem(decision), site.use(index)]);
const redeem = pick.map(redeeming);

const report = fc
  .record({
    result: fc.constantFrom('succeeded', 'failed', 'unknown') as fc.Arbitrary<'succeeded'>,
    at: pick,
  })
  .map(({ result, at }) =>
    onDecision(`report ${result} of ${at}`, at, (decision, index, model, site) => {
      // A report without a redeemed permit is a bypass: refused, and it halts the site's tool or target (`incidents`).
      if (decision.permit !== 'redeemed') return [true, true];
      return [model.report(decision, result), site.outcome(index, result)];
    }),
  );

const site: Step[] = [
  { words: 'break the glass', run: (model, real) => [model.activate(), real.breakGlass()] },
  { words: 'end the first session', run: (model, real) => [model.end(0), real.endGlass(0)] },
  {
    words: 'end the last session',
    run: (model, real) => [model.end(model.sessions.length - 1), real.endGlass(model.sessions.length - 1)],
  },
  { words: 'halt', run: (model, real) => [model.halt(), real.halt()] },
  { words: 'resume', run: (model, real) => [model.resume(), real.resume()] },
  { words: 'policy update', run: (_, real) => [true, real.update()] },
  {
    words: 'crash',
    run: (_, real) => {
      real.reopen();
      return [true, true];
    },
  },
];

const suspending = (who: Name): Step => ({
  words: `bob suspends ${who}`,
  run: (model, real) => [model.suspend(who), real.suspendPerson(who)],
});
const suspend = name.map(suspending);

const pass = fc.constantFrom(1_000, 60_000, 60_000, 6 * 60_000, 31 * 60_000, 61 * 60_000).map(
  (ms): Step => ({
    words: `${ms / 1000} s pass`,
    run: (model, real) => {
      model.pass(ms);
      real.clock.pass(ms);
      real.engine.tick();
      return [true, true];
    },
  }),
);

/** Beginnings that chance alone rarely makes; what follows them is left to it. */
const scenes: Step[][] = [
  [creating('firmware'), answering('alice', 'l3', true, 0), answering('bob', 'safety_officer', true, 0)],
  [creating('firmware'), answering('carol', 'l3', true, 0), answering('carol', 'safety_officer', true, 0)],
  [...site.slice(0, 1), creating('glass')],
  [
    creating('firmware'),
    answering('carol', 'l3', true, 0),
    answering('bob', 'safety_officer', true, 0),
    suspending('carol'),
    redeeming(0),
  ],
];

const step = fc.oneof(
  { weight: 6, arbitrary: create },
  { weight: 8, arbitrary: answer },
  { weight: 5, arbitrary: redeem },
  { weight: 4, arbitrary: report },
  { weight: 2, arbitrary: cancel },
  { weight: 3, arbitrary: afterwards },
  { weight: 6, arbitrary: fc.constantFrom(...site) },
  { weight: 1, arbitrary: suspend },
  { weight: 3, arbitrary: pass },
);

const play = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: step.map((one) => [one]) },
      { weight: 1, arbitrary: fc.constantFrom(...scenes) },
    ),
    {
      minLength: 5,
      maxLength: LONGEST,
    },
  )
  .map((parts) => parts.flat());

/** Every decision stands as the model has it; what the model never granted has no permit. */
function compare(model: Model, real: ModelSite, words: string): void {
  model.decisions.forEach((decision, index) => {
    const shown = real.show(index);
    expect(model.shown(decision), `${words}: status of decision ${index}`).toContain(shown.status);
    if (shown.status !== 'expired')
      expect(shown.permit_state, `${words}: permit of decision ${index}`).toBe(decision.permit);
    if (decision.permit === 'none')
      expect(shown.permit, `${words}: permit of decision ${index}`).toBeUndefined();
  });
}

/** Words instead of functions: what was done, and how to run it again. */
function told(run: fc.RunDetails<[Step[]]>): void {
  if (!run.failed) return;
  const steps = run.counterexample?.[0].map(({ words }) => words).join(', ') ?? '';
  const cause = run.errorInstance instanceof Error ? run.errorInstance.message : String(run.errorInstance);
  throw new Error(`${cause}\nafter: ${steps}\nseed ${run.seed}, path ${run.counterexamplePath}`);
}

let opened: ModelSite | null = null;
afterAll(() => opened?.close());

test('whatever is done in whatever order, the site does what the model says', async () => {
  await fc.assert(
    fc.asyncProperty(play, async (steps) => {
      const model = new Model();
      const real = new ModelSite(modelBundle());
      opened = real;
      try {
        for (const each of steps) {
          const [expected, really] = each.run(model, real);
          expect(really, each.words).toBe(expected);
          compare(model, real, each.words);
        }
        const trust = { origin: `${SITE}/ledger`, vkeys: [real.vkey] };
        checkLedger(real.paths, trust);
        for (let index = 0; index < model.decisions.length; index += 1) {
          const args = { id: real.ids[index] ?? '' };
          expect(real.call('decisions.replay', { args }).body.differences).toEqual([]);
        }
        expect(real.reports).toEqual([]);
      } finally {
        real.close();
        opened = null;
      }
    }),
    { numRuns: RUNS, reporter: told },
  );
}, 240_000);
