import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import type { Peer } from '../../daemon/engine/protocol.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { Disk } from '../../daemon/host/disk-reserve.ts';
import { checkLedger } from '../oracle.ts';
import { GlassSite, glassBundle } from './breakglass-world.ts';
import { alice, ask, testBundle } from './bundle.ts';
import { EngineFixture, SITE } from './fixture.ts';

const REDEEM: Peer = { socket: 'redeem', uid: null };
const SETTINGS = { reserve_bytes: 400, low_bytes: 1_000 };

/** A disk that says what it is told to. */
class ToldDisk implements Disk {
  bytes = 1_000_000;
  reserve = 0;

  free(): number {
    return this.bytes;
  }

  held(): number {
    return this.reserve;
  }

  hold(bytes: number): number {
    this.reserve = bytes;
    return bytes;
  }

  /** As full as a disk can be, with all but so much of the reserve given back. */
  fill(left: number): void {
    this.bytes = 100;
    this.reserve = left;
  }
}

describe('an engine on a disk that fills up', () => {
  let disk: ToldDisk;
  let site: EngineFixture;

  beforeEach(() => {
    disk = new ToldDisk();
    site = new EngineFixture(testBundle(), { disk: { disk, settings: SETTINGS } });
  });
  afterEach(() => {
    checkLedger(site.paths, { origin: `${SITE}/ledger`, vkeys: [site.vkey] });
    site.close();
  });

  const create = (actionClass = 'read_telemetry', target = 'sensor:pump-1') =>
    site.call('decisions.create', { json: ask(actionClass, target) });
  const redeem = ({ permit }: JsonObject) => {
    const { id, action_digest } = permit as { id: string; action_digest: string };
    return site.call('permits.redeem', {
      args: { id },
      json: { audience: 'gateway', action_digest },
      peer: REDEEM,
    });
  };
  const outcome = ({ permit }: JsonObject) =>
    site.call('permits.outcome', {
      args: { id: (permit as { id: string }).id },
      json: { audience: 'gateway', result: 'succeeded' },
      peer: REDEEM,
    });
  const status = () => site.engine.status() as { ready: boolean; degraded: { component: string }[] };

  it('denies while it is low, on record, and replays the same', () => {
    disk.bytes = 900;
    site.engine.tick();
    expect(status().ready).toBe(false);
    expect(status().degraded.map(({ component }) => component)).toContain('disk');
    const { status: http, body } = create();
    expect(http).toBe(200);
    expect(body).toMatchObject({ status: 'denied', enforcement: { result: 'deny' } });
    disk.bytes = 10_000;
    site.engine.tick();
    expect(status().ready).toBe(true);
    expect(status().degraded.map(({ component }) => component)).not.toContain('disk');
    expect(create().body.status).toBe('authorized');
    const replayed = site.call('decisions.replay', { args: { id: String(body.decision_id) } });
    expect(replayed.body).toMatchObject({ differences: [], replayed: { gates: ['disk.low'] } });
  });

  it('lets what was allowed before go on while it is low', () => {
    const decision = create().body;
    disk.bytes = 900;
    site.engine.tick();
    expect(redeem(decision).status).toBe(200);
    expect(outcome(decision).status).toBe(200);
  });

  it('spends the last of the reserve on nothing routine', () => {
    const ran = create().body;
    const unused = create().body;
    const waiting = create('restart_service', 'service:relay-2').body;
    redeem(ran);
    disk.fill(100);
    site.engine.tick();
    const before = site.call('ledger.entries', { args: { from: '0', limit: '200' } }).body.size;
    const refused = [
      create(),
      redeem(unused),
      site.call('decisions.approve', {
        args: { id: String(waiting.decision_id) },
        json: site.sign(alice, waiting),
      }),
      site.call('decisions.cancel', {
        args: { id: String(waiting.decision_id) },
        json: { actor: { id: 'agent:ops-1' }, reason: 'x' },
      }),
    ];
    for (const { status: http, body } of refused)
      expect({ http, code: body.code }).toEqual({ http: 503, code: 'disk.full' });
    expect(site.call('ledger.entries', { args: { from: '0', limit: '200' } }).body.size).toBe(before);
    expect(outcome(ran).body.status).toBe('executed');
    // Nothing expires on it either: that is judged at its use.
    site.clock.pass(3 * 3_600_000);
    site.engine.tick();
    expect(site.call('decisions.get', { args: { id: String(waiting.decision_id) } }).body.status).toBe(
      'pending_authority',
    );
    disk.bytes = 10_000;
    site.engine.tick();
    site.engine.tick();
    expect(site.call('decisions.get', { args: { id: String(waiting.decision_id) } }).body.status).toBe(
      'expired',
    );
  });
});

describe('break-glass', () => {
  it('is what the last of the reserve is for', () => {
    const disk = new ToldDisk();
    const site = new GlassSite(glassBundle({}), { disk: { disk, settings: SETTINGS } });
    try {
      disk.fill(100);
      site.engine.tick();
      const refused = site.call('decisions.create', { json: ask('restart_service', 'service:relay-2') });
      expect(refused.body.code).toBe('disk.full');
      site.opened();
      const decision = site.call('decisions.create', {
        json: ask('restart_service', 'service:relay-2'),
      }).body;
      expect(decision.status).toBe('authorized');
      const gates = (decision.policy as { gates: JsonObject[] }).gates;
      expect(gates).toContainEqual(expect.objectContaining({ id: 'disk.low', result: 'lifted' }));
      expect(site.redeem(decision).status).toBe(200);
    } finally {
      site.close();
    }
  });

  it('is not held back by a halt', () => {
    const bundle: Bundle = glassBundle({});
    const site = new GlassSite({
      ...bundle,
      incidents: { reporter_roles: ['l3'] },
    });
    try {
      const report = { actor: { id: 'alice' }, target: null, detail: 'somebody was at the gateway' };
      expect(site.call('incidents.open', { json: report }).status).toBe(200);
      site.opened();
      const decision = site.call('decisions.create', {
        json: ask('restart_service', 'service:relay-2'),
      }).body;
      expect(decision.status).toBe('authorized');
      expect(site.redeem(decision).status).toBe(200);
      const other = site.call('decisions.create', { json: ask('restart_service', 'service:relay-3') }).body;
      expect(other.status).toBe('denied');
    } finally {
      site.close();
    }
  });
});

describe('heartbeats', () => {
  it('come as often as they should, and say so', () => {
    const site = new EngineFixture(testBundle(), { heartbeatMs: 60_000 });
    try {
      for (let second = 0; second < 200; second++) {
        site.clock.pass(1_000);
        site.engine.tick();
      }
      const { entries } = checkLedger(site.paths, { origin: `${SITE}/ledger`, vkeys: [site.vkey] });
      const beats = entries.filter(({ type }) => type === 'system.heartbeat');
      expect(beats.map(({ data }) => data)).toEqual(
        Array.from({ length: 3 }, () => ({ reason: 'scheduled', every_ms: 60_000 })),
      );
    } finally {
      site.close();
    }
  });
});
