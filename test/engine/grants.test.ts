import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import type { BundleBreakGlass } from '../../daemon/core/bundle.ts';
import { codeOf } from '../../daemon/formats/grant.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { randomBytes } from '../../daemon/host/random.ts';
import { checkLedger } from '../oracle.ts';
import { GlassSite, glassBundle, lena, leo, PLACE, REASON } from './breakglass-world.ts';
import { alice, ask } from './bundle.ts';
import { person, SITE } from './fixture.ts';

const open: GlassSite[] = [];
const DAY = 86_400_000;

function site(section: Partial<BundleBreakGlass> = {}): GlassSite {
  const fixture = new GlassSite(glassBundle(section));
  open.push(fixture);
  return fixture;
}

afterEach(() => {
  for (const fixture of open.splice(0)) fixture.close();
});

const restart = (fixture: GlassSite): JsonObject =>
  fixture.call('decisions.create', { json: ask('restart_service', 'service:relay-2') }).body;
const types = (fixture: GlassSite) =>
  checkLedger(fixture.paths, { origin: `${SITE}/ledger`, vkeys: [fixture.vkey] }).entries.map(
    ({ type }) => type,
  );
const grants = (fixture: GlassSite) => fixture.call('grants.list').body.grants as JsonObject[];

describe('a grant that was issued here', () => {
  test('opens one session with its code, for what it says, once and for ever', () => {
    const fixture = site();
    const paper = fixture.paper();
    expect(fixture.issue(paper).body).toMatchObject({
      id: paper.id,
      state: 'unused',
      issued: { by: 'lena' },
    });
    expect(restart(fixture).permit).toBeUndefined();
    const { status, body } = fixture.redeemGrant(paper.id, { code: paper.code });
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        id: paper.id.replace('grant_', 'bg_'),
        state: 'active',
        principal: 'lena',
        grant: { id: paper.id, redeemed_by: 'olga' },
        scope: { ...PLACE, reason: REASON },
        because: 'nobody can be reached',
      },
    });
    const decision = restart(fixture);
    expect(decision).toMatchObject({ status: 'authorized', breakglass: { id: body.id } });
    expect(fixture.redeem(decision).status).toBe(200);
    for (const again of ['at once', 'after a restart']) {
      if (again !== 'at once') fixture.reopen();
      expect(fixture.redeemGrant(paper.id, { code: paper.code })).toMatchObject({
        status: 409,
        body: { code: 'grant.used' },
      });
    }
    expect(grants(fixture)).toMatchObject([{ id: paper.id, state: 'used', session: body.id }]);
    expect(types(fixture).filter((type) => /^(grant|breakglass)/.test(type))).toEqual([
      'grant.issued',
      'breakglass.activated',
    ]);
  });

  test('is reviewed like any other, by neither who issued nor who used it', () => {
    const fixture = site();
    const paper = fixture.paper({ who: leo });
    fixture.issue(paper);
    const session = fixture.redeemGrant(paper.id, { code: paper.code, actor: { id: 'lena' } }).body;
    fixture.about(session, 'end', { who: leo });
    for (const who of [leo, lena]) {
      expect(fixture.about(session, 'review', { who, act: { role: 'l5' } }).body.code).toBe('approval.self');
    }
    expect(fixture.about(session, 'review').body).toMatchObject({ state: 'closed' });
  });

  test('keeps its code out of the ledger and every answer', () => {
    const fixture = site();
    const paper = fixture.paper();
    const answers = [
      fixture.issue(paper),
      fixture.redeemGrant(paper.id, { code: codeOf(randomBytes(20)) }),
      fixture.redeemGrant(paper.id, { code: paper.code }),
      fixture.call('grants.get', { args: { id: paper.id } }),
    ];
    expect(JSON.stringify(answers)).not.toContain(paper.code);
    fixture.engine.syncHead();
    for (const file of [fixture.paths.ledger, `${fixture.paths.ledger}-wal`]) {
      expect(readFileSync(file).includes(paper.code)).toBe(false);
    }
  });

  test('is not opened by another code, which is on record and uses nothing up', () => {
    const fixture = site();
    const [paper, other] = [fixture.paper(), fixture.paper()];
    fixture.issue(paper);
    fixture.issue(other);
    for (const code of [other.code, codeOf(randomBytes(20)), paper.code.toLowerCase()]) {
      expect(fixture.redeemGrant(paper.id, { code })).toMatchObject({
        status: 403,
        body: { code: 'grant.wrong_code' },
      });
    }
    expect(types(fixture).filter((type) => type === 'breakglass.refused')).toHaveLength(3);
    expect(fixture.redeemGrant(paper.id, { code: paper.code }).status).toBe(200);
  });

  test('expires on record', () => {
    const fixture = site();
    const paper = fixture.paper();
    fixture.issue(paper);
    fixture.clock.pass(30 * DAY);
    expect(fixture.redeemGrant(paper.id, { code: paper.code }).body.code).toBe('grant.expired');
    for (let n = 0; n < 3; n++) {
      fixture.clock.pass(1_000);
      fixture.engine.tick();
    }
    expect(types(fixture).filter((type) => type === 'grant.expired')).toHaveLength(1);
    expect(grants(fixture)).toMatchObject([{ state: 'expired', session: null }]);
  });

  test('is neither used nor lost while nobody believes the clock', () => {
    const fixture = site();
    const paper = fixture.paper();
    fixture.issue(paper);
    fixture.clock.wall += 40 * DAY;
    for (let n = 0; n < 3; n++) {
      fixture.clock.pass(1_000);
      fixture.engine.tick();
    }
    expect(fixture.redeemGrant(paper.id, { code: paper.code }).body.code).toBe('approval.time_uncertain');
    expect(grants(fixture)).toMatchObject([{ state: 'unused' }]);
  });

  test('can be taken back, signed', () => {
    const fixture = site();
    const paper = fixture.paper();
    const { grant_digest } = fixture.issue(paper).body;
    const revoke = (who = lena, role = 'l5') =>
      fixture.call('grants.revoke', {
        args: { id: paper.id },
        json: fixture.sign(
          who,
          {},
          { subject: paper.id, subject_digest: { grant: String(grant_digest) }, answer: 'revoke', role },
          'grant',
        ),
      });
    expect(revoke(alice, 'l3').body.code).toBe('approval.role_not_required');
    expect(revoke(leo).body).toMatchObject({ state: 'revoked' });
    expect(revoke(leo).body.code).toBe('grant.revoked');
    expect(fixture.redeemGrant(paper.id, { code: paper.code }).body.code).toBe('grant.revoked');
  });

  test('is worth nothing once its issuer is revoked, or policy has no grants', () => {
    const fixture = site();
    const paper = fixture.paper();
    fixture.issue(paper);
    const suspended = glassBundle();
    suspended.metadata.version = 2;
    Object.assign(suspended.principals.lena ?? {}, { status: 'suspended' });
    fixture.apply(suspended, 2);
    expect(fixture.redeemGrant(paper.id, { code: paper.code }).body.code).toBe('grant.revoked');
    const without = glassBundle();
    without.metadata.version = 3;
    delete without.breakglass?.grants;
    fixture.apply(without, 3);
    expect(fixture.redeemGrant(paper.id, { code: paper.code }).body.code).toBe('breakglass.not_in_policy');
  });

  test('opens nothing where a session could not be opened by a signature', () => {
    const fixture = site();
    const [first, second] = [fixture.paper(), fixture.paper()];
    fixture.issue(first);
    fixture.issue(second);
    expect(fixture.redeemGrant(first.id, { code: first.code }).status).toBe(200);
    expect(fixture.redeemGrant(second.id, { code: second.code }).body.code).toBe('breakglass.too_many');
    expect(fixture.redeemGrant(second.id, { code: second.code, fields: {} }).body.code).toBe(
      'breakglass.reason',
    );
    expect(grants(fixture).map(({ state }) => state)).toEqual(['used', 'unused']);
  });
});

describe('a grant from headquarters', () => {
  const carried = ({ grant, act, signature, code }: ReturnType<GlassSite['paper']>) => ({
    grant,
    act,
    signature,
    code,
  });

  test('is redeemed with the signature that comes with it, once, whatever copy is shown', () => {
    const fixture = site();
    const paper = fixture.paper();
    expect(fixture.redeemGrant(paper.id, { code: paper.code }).body.code).toBe('grant.not_found');
    const session = fixture.redeemGrant(paper.id, carried(paper)).body;
    expect(session).toMatchObject({ state: 'active', principal: 'lena', grant: { id: paper.id } });
    expect(grants(fixture)).toMatchObject([{ state: 'used', session: session.id, issued: { here: false } }]);
    fixture.about(session, 'end', { who: leo });
    fixture.reopen();
    expect(fixture.redeemGrant(paper.id, carried(paper)).body.code).toBe('grant.used');
    expect(fixture.issue(paper).body.code).toMatch(/nonce_used|exists/);
  });

  test.each<[string, Parameters<GlassSite['paper']>[0], string]>([
    ['by nobody of the roster', { who: person('mallory') }, 'approval.unknown_key'],
    ['in a role that may not', { who: alice, act: { role: 'l3' } }, 'approval.role_not_required'],
    ['for another site', { grant: { site: 'outpost-8.example' } }, 'approval.wrong_site'],
    ['for a log that this one is not any more', { grant: { log: `${SITE}/ledger/2` } }, 'grant.revoked'],
    [
      'for longer than policy allows',
      { grant: { expires_at: '2031-06-01T00:00:00.000Z' } },
      'grant.too_long',
    ],
    ['that is over', { grant: { expires_at: '2031-03-01T11:00:00.000Z' } }, 'grant.expired'],
    [
      'with another digest signed',
      { act: { subject_digest: { grant: '0'.repeat(64) } } },
      'approval.wrong_digest',
    ],
    [
      'for a place that policy does not cover',
      { place: { target: { type: 'disk', id: 'a' } } },
      'breakglass.not_covered',
    ],
    ['with a session too long', { place: { ttl_seconds: 7_200 } }, 'breakglass.ttl_too_long'],
  ])('%s opens nothing', (_what, changes, code) => {
    const fixture = site();
    const paper = fixture.paper(changes);
    expect(fixture.redeemGrant(paper.id, carried(paper)).body.code).toBe(code);
    expect(restart(fixture).permit).toBeUndefined();
  });

  test('altered by one character opens nothing', () => {
    const fixture = site();
    const paper = fixture.paper();
    const grant = paper.grant.replace('relay-2', 'relay-3');
    expect(fixture.redeemGrant(paper.id, { ...carried(paper), grant }).body.code).toBe(
      'approval.wrong_digest',
    );
  });
});

describe('issuing', () => {
  test('is bounded in number and time', () => {
    const fixture = site();
    const long = fixture.paper({ grant: { expires_at: '2031-06-01T00:00:00.000Z' } });
    expect(fixture.issue(long).body.code).toBe('grant.too_long');
    expect(fixture.issue(fixture.paper()).status).toBe(200);
    const second = fixture.paper();
    expect(fixture.issue(second).status).toBe(200);
    expect(fixture.issue(second).body.code).toMatch(/nonce_used|too_many/);
    expect(fixture.issue(fixture.paper()).body.code).toBe('grant.too_many');
    expect(fixture.engine.status()).toMatchObject({ breakglass: { unused_grants: 2 } });
  });
});
