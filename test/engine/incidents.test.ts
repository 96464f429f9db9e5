import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import type { Peer } from '../../daemon/engine/protocol.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { checkLedger } from '../oracle.ts';
import { alice, ask, bob, carol, testBundle } from './bundle.ts';
import { EngineFixture, type Person, person, SITE } from './fixture.ts';

const lead = person('lead-of-site');
const REDEEM: Peer = { socket: 'redeem', uid: null };
const REQUEST: Peer = { socket: 'request', uid: null };

/** The engine's test policy with people who may report and resume. */
function policy(incidents: Bundle['incidents'] = {}): Bundle {
  const bundle = testBundle();
  return testBundle({
    incidents: { reporter_roles: ['watch'], resume_roles: ['l4'], ...incidents },
    principals: {
      ...bundle.principals,
      'service:guard': { kind: 'service', roles: ['watch'], status: 'active', owner: 'alice' },
      'service:door-watch': {
        kind: 'service',
        roles: ['watch'],
        status: 'active',
        owner: 'alice',
        scope: { targets: ['door:north'] },
      },
      lead: { kind: 'human', roles: ['l4'], status: 'active', keys: [{ public_key: lead.line }] },
      tess: {
        kind: 'human',
        roles: ['l4'],
        status: 'active',
        scope: { targets: ['sensor:pump-1'] },
        keys: [{ public_key: person('tess').line }],
      },
    },
  });
}

const report = (changes: JsonObject = {}) => ({
  actor: { id: 'service:guard' },
  target: { type: 'sensor', id: 'pump-1' },
  detail: 'the pump was moved by hand',
  ...changes,
});

describe('incidents', () => {
  let site: EngineFixture;

  beforeEach(() => {
    site = new EngineFixture(policy());
  });
  afterEach(() => {
    checkLedger(site.paths, { origin: `${SITE}/ledger`, vkeys: [site.vkey] });
    expect(site.reports).toEqual([]);
    site.close();
  });

  const create = (target = 'sensor:pump-1', actionClass = 'read_telemetry') =>
    site.call('decisions.create', { json: ask(actionClass, target), peer: REQUEST });
  const redeem = (decision: JsonObject) => {
    const permit = decision.permit as JsonObject;
    return site.call('permits.redeem', {
      args: { id: String(permit.id) },
      json: { audience: 'gateway', action_digest: permit.action_digest as string },
      peer: REDEEM,
    });
  };
  const outcome = (id: string, result: string, detail: JsonObject = {}) =>
    site.call('permits.outcome', {
      args: { id },
      json: { audience: 'gateway', result, detail },
      peer: REDEEM,
    });
  const open = (json: JsonObject, peer = REQUEST) => site.call('incidents.open', { json, peer });
  const list = (state = 'open') =>
    site.call('incidents.list', { args: { state } }).body.incidents as JsonObject[];
  const resume = (incident: JsonObject, who: Person = lead, changes: object = {}) =>
    site.call('incidents.resume', {
      args: { id: String(incident.incident_id) },
      json: site.sign(
        who,
        {},
        {
          subject: String(incident.incident_id),
          subject_digest: { incident: String(incident.digest) },
          answer: 'resume',
          role: 'l4',
          ...changes,
        },
        'resume',
      ),
    });
  const verdict = ({ body }: { body: JsonObject }) => (body.enforcement as JsonObject).result;
  const gates = ({ body }: { body: JsonObject }) =>
    ((body.policy as JsonObject).gates as JsonObject[]).filter(({ result }) => result === 'fail');

  it('halt the target that a report names, and nothing else, until a signed resume', () => {
    const before = create().body;
    const { status, body } = open(report());
    expect(status).toBe(200);
    expect(body).toMatchObject({ state: 'open', cause: 'unpermitted_act', already_open: false });
    expect(verdict(create('sensor:pump-2'))).toBe('allow');
    const denied = create();
    expect(verdict(denied)).toBe('deny');
    expect(gates(denied)).toMatchObject([{ id: 'incident.halt' }]);
    expect(redeem(before)).toMatchObject({ status: 409, body: { code: 'permit.halted' } });
    expect(resume(body).body).toMatchObject({ state: 'cleared', cleared: { principal: 'lead' } });
    expect(verdict(create())).toBe('allow');
    expect(redeem(before).status).toBe(200);
    expect(list()).toEqual([]);
    expect(list('all')).toHaveLength(1);
  });

  it('halt the site when a report names no target', () => {
    const { body } = open(report({ target: null }));
    expect(body.halt).toEqual({ scope: 'site' });
    for (const target of ['sensor:pump-1', 'sensor:other']) expect(verdict(create(target))).toBe('deny');
    // A person whose scope ends at one target does not let the site go on.
    expect(resume(body, person('tess'))).toMatchObject({
      status: 422,
      body: { code: 'approval.out_of_scope' },
    });
    expect(resume(body).status).toBe(200);
    expect(verdict(create())).toBe('allow');
  });

  it('survive a restart, a reopened ledger and replay', () => {
    open(report());
    const denied = create().body;
    site.reopen();
    expect(verdict(create())).toBe('deny');
    const replayed = site.call('decisions.replay', { args: { id: String(denied.decision_id) } });
    expect(replayed.body).toMatchObject({ differences: [], replayed: { gates: ['incident.halt'] } });
    expect(resume(list()[0] as JsonObject).status).toBe(200);
    site.reopen();
    expect(verdict(create())).toBe('allow');
    // The halt is part of the record: it is still why that one was denied.
    expect(site.call('decisions.replay', { args: { id: String(denied.decision_id) } }).body).toMatchObject({
      differences: [],
    });
  });

  it('are told once, whoever repeats them', () => {
    const first = open(report()).body;
    const again = open(report()).body;
    expect(again).toMatchObject({ incident_id: first.incident_id, already_open: true });
    expect(list()).toHaveLength(1);
    resume(first);
    expect(open(report()).body).toMatchObject({ already_open: false });
  });

  it('keep halted what another incident still halts', () => {
    const one = open(report()).body;
    const two = open(report({ detail: 'and again, from the other side' })).body;
    resume(one);
    expect(verdict(create())).toBe('deny');
    resume(two);
    expect(verdict(create())).toBe('allow');
  });

  describe('are reported by those alone whom the policy lets', () => {
    it.each([
      ['an agent without the role', report({ actor: { id: 'agent:ops-1' } })],
      ['somebody unknown', report({ actor: { id: 'service:nobody' } })],
      ['a role that is not held', report({ actor: { id: 'alice', role: 'watch' } })],
      ['a role that is no reporter role', report({ actor: { id: 'service:guard', role: 'l3' } })],
      ['a target outside the scope', report({ actor: { id: 'service:door-watch' } })],
      [
        'the site, with a scope that ends at a target',
        report({ actor: { id: 'service:door-watch' }, target: null }),
      ],
      [
        'an audience elsewhere than on its socket',
        { audience: 'gateway', cause: 'gateway_report', detail: 'x' },
      ],
    ])('%s', (_what, json) => {
      expect(open(json as JsonObject)).toMatchObject({
        status: 403,
        body: { code: 'incident.not_reporter' },
      });
      expect(list('all')).toEqual([]);
      expect(verdict(create())).toBe('allow');
    });

    it('nobody, under a policy that names nobody', () => {
      site.apply(
        { ...policy(), incidents: { resume_roles: ['l4'] }, metadata: { ...policy().metadata, version: 2 } },
        2,
      );
      expect(open(report()).status).toBe(403);
    });

    it('a principal within its scope, and policy may widen what is halted', () => {
      const door = report({ actor: { id: 'service:door-watch' }, target: { type: 'door', id: 'north' } });
      expect(open(door).body.halt).toEqual({ scope: 'target', target: { type: 'door', id: 'north' } });
      const wide = { ...policy({ halt: { unpermitted_act: 'site' } }) };
      site.apply({ ...wide, metadata: { ...wide.metadata, version: 2 } }, 2);
      expect(open(report()).body.halt).toEqual({ scope: 'site' });
    });
  });

  describe('an outcome without a permit', () => {
    it('halts the target of a permit that was never redeemed', () => {
      const { permit } = create().body as { permit: JsonObject };
      const { status, body } = outcome(String(permit.id), 'succeeded');
      expect({ status, code: body.code }).toEqual({ status: 409, code: 'permit.not_redeemed' });
      expect(list()).toMatchObject([
        {
          incident_id: body.incident_id as string,
          cause: 'outcome_without_permit',
          halt: { scope: 'target', target: { type: 'sensor', id: 'pump-1' } },
          reporter: { kind: 'audience', id: 'gateway' },
        },
      ]);
      expect(verdict(create())).toBe('deny');
      expect(verdict(create('sensor:pump-2'))).toBe('allow');
    });

    it('halts the site when the permit is none of ours', () => {
      const unknown = outcome('prm_01990000-0000-7000-8000-000000000000', 'unknown');
      expect(unknown).toMatchObject({ status: 404, body: { code: 'permit.not_found' } });
      expect(list()).toMatchObject([{ halt: { scope: 'site' } }]);
      expect(verdict(create('sensor:anything'))).toBe('deny');
    });

    it('is none when nothing ran, or when the permit was redeemed', () => {
      const decision = create().body;
      const id = String((decision.permit as JsonObject).id);
      expect(outcome(id, 'failed', { reason: 'not_started: gateway.redemption_refused' }).status).toBe(409);
      redeem(decision);
      expect(outcome(id, 'succeeded').status).toBe(200);
      expect(outcome(id, 'failed')).toMatchObject({ status: 409 });
      expect(outcome(id, 'succeeded').status).toBe(200);
      expect(list('all')).toEqual([]);
    });
  });

  describe('are reported by an audience on its own socket', () => {
    it('a changed tool halts what uses it', () => {
      const { body } = open(
        { audience: 'gateway', cause: 'tool_changed', tool: 'reader', detail: '/bin/echo is another file' },
        REDEEM,
      );
      expect(body.halt).toEqual({ scope: 'tool', tool: 'reader' });
      expect(verdict(create())).toBe('deny');
      expect(verdict(create('service:relay-2', 'restart_service'))).toBe('escalate');
      resume(body);
      expect(verdict(create())).toBe('allow');
    });

    it.each(['configuration_changed', 'gateway_report'])('%s halts the site', (cause) => {
      open({ audience: 'gateway', cause, detail: 'it is not as it was' }, REDEEM);
      expect(verdict(create('service:relay-2', 'restart_service'))).toBe('deny');
    });
  });

  it('hold back what was approved meanwhile, until the resume', () => {
    const waiting = create('service:relay-2', 'restart_service').body;
    const incident = open(report({ target: { type: 'service', id: 'relay-2' } })).body;
    const approved = site.call('decisions.approve', {
      args: { id: String(waiting.decision_id) },
      json: site.sign(alice, waiting),
    });
    expect(approved.body.status).toBe('authorized');
    expect(redeem(approved.body)).toMatchObject({ status: 409, body: { code: 'permit.halted' } });
    resume(incident);
    expect(redeem(approved.body).status).toBe(200);
  });

  describe('are cleared by nothing but the right signature', () => {
    let incident: JsonObject;
    beforeEach(() => {
      incident = open(report()).body;
    });
    afterEach(() => {
      expect(list()).toHaveLength(1);
      expect(verdict(create())).toBe('deny');
    });

    it.each([
      ['a role that may not', bob, { role: 'safety_officer' }, 'approval.role_not_required'],
      ['a role that is not held', carol, { role: 'l4' }, 'approval.role_not_held'],
      ['a key of nobody', person('stranger'), {}, 'approval.unknown_key'],
      [
        'another incident',
        lead,
        { subject: 'inc_01990000-0000-7000-8000-000000000000' },
        'approval.wrong_subject',
      ],
      ['another content', lead, { subject_digest: { incident: '0'.repeat(64) } }, 'approval.wrong_digest'],
      ['another site', lead, { site: 'elsewhere.example' }, 'approval.wrong_site'],
      ['another answer', lead, { answer: 'approve' }, 'approval.malformed'],
      ['long ago', lead, { issued_at: '2031-02-01T00:00:00.000Z' }, 'approval.expired'],
      ['a day ahead', lead, { issued_at: '2031-03-02T12:00:00.000Z' }, 'approval.not_yet_valid'],
    ])('%s', (_what, who, changes, code) => {
      expect(resume(incident, who, changes).body.code).toBe(code);
    });

    it('a signature of another kind', () => {
      const act = { subject: String(incident.incident_id), answer: 'resume', role: 'l4' };
      const json = site.sign(
        lead,
        {},
        { ...act, subject_digest: { incident: String(incident.digest) } },
        'approval',
      );
      const answer = site.call('incidents.resume', { args: { id: String(incident.incident_id) }, json });
      expect(answer.body.code).toBe('approval.wrong_kind');
    });

    it('a clock that nobody believes', () => {
      site.clock.wall += 30 * 86_400_000;
      const { body } = resume(incident);
      expect(body.code).toBe('approval.time_uncertain');
      site.clock.wall -= 30 * 86_400_000;
    });
  });

  it('are cleared once, by an act that counts once', () => {
    const incident = open(report()).body;
    const act = site.sign(
      lead,
      {},
      {
        subject: String(incident.incident_id),
        subject_digest: { incident: String(incident.digest) },
        answer: 'resume',
        role: 'l4',
      },
      'resume',
    );
    const args = { id: String(incident.incident_id) };
    expect(site.call('incidents.resume', { args, json: act }).status).toBe(200);
    expect(site.call('incidents.resume', { args, json: act })).toMatchObject({
      status: 409,
      body: { code: 'incident.not_open' },
    });
    const unknown = { id: 'inc_01990000-0000-7000-8000-000000000000' };
    expect(site.call('incidents.resume', { args: unknown, json: act }).body.code).toBe('incident.not_found');
  });

  it('end a flood of reports in one halt of the site', () => {
    for (let n = 0; n < 100; n++) {
      expect(open(report({ target: { type: 'sensor', id: `s-${n}` } })).status).toBe(200);
    }
    expect(verdict(create('sensor:calm'))).toBe('allow');
    expect(open(report({ target: { type: 'sensor', id: 'one-more' } })).body.halt).toEqual({ scope: 'site' });
    expect(verdict(create('sensor:calm'))).toBe('deny');
    const refused = open(report({ target: { type: 'sensor', id: 'and-more' } }));
    expect(refused).toMatchObject({ status: 429, body: { code: 'incident.too_many' } });
    site.reopen();
    expect(verdict(create('sensor:calm'))).toBe('deny');
  });

  it('keep secrets out of the record', () => {
    const { body } = open(report({ detail: 'password=hunter2hunter2 AKIAIOSFODNN7EXAMPLE' }));
    expect(body.detail).toBe('[withheld: secrets.pattern]');
  });
});
