import type { Bundle, BundleBreakGlass } from '../../daemon/core/bundle.ts';
import {
  type BreakglassPlace,
  formatScope,
  isSessionId,
  scopeDigest,
} from '../../daemon/formats/breakglass-scope.ts';
import { codeOf, commitCode, formatGrant, type Grant, grantDigest } from '../../daemon/formats/grant.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { SignedAct } from '../../daemon/formats/signed-act.ts';
import { randomBytes, uuidv7 } from '../../daemon/host/random.ts';
import { testBundle } from './bundle.ts';
import { EngineFixture, type Person, person, SITE } from './fixture.ts';

/* A site whose policy lets the glass be broken, and the people who may. */

export const lena = person('lena');
export const leo = person('leo');
export const rita = person('rita');

const human = (roles: string[], who: Person) => ({
  kind: 'human' as const,
  roles,
  status: 'active' as const,
  keys: [{ public_key: who.line }],
});

export const SECTION: BundleBreakGlass = {
  roles: ['l5'],
  max_ttl: '1h',
  covers: [
    { classes: ['restart_service', 'set_pin'], environments: ['production'] },
    { classes: ['install_firmware'], environments: ['production'], targets: ['device:pump-1'] },
    { classes: ['wipe_storage'] },
  ],
  reason: {
    hazard: { description: 'what happens otherwise', pattern: '[a-z ]{3,80}' },
    reference: { description: 'a ticket', required: false, max_length: 20 },
  },
  lifts: { authority: true, gates: ['window'] },
  review: { roles: ['reviewer', 'l5'], within: '2h', overdue: 'block_next' },
  grants: { roles: ['l5'], max_validity: '90d', max_unused: 2 },
};

/** The engine tests' policy with break-glass; `lena` and `leo` may break it, `rita` reviews. */
export function glassBundle(section: Partial<BundleBreakGlass> = {}, changes: Partial<Bundle> = {}): Bundle {
  const bundle = testBundle(changes);
  Object.assign(bundle.principals, {
    lena: human(['l5', 'l3'], lena),
    leo: human(['l5'], leo),
    rita: human(['reviewer'], rita),
    'agent:ops-2': { kind: 'agent', roles: ['agent'], status: 'active', owner: 'olga' },
  });
  const window = {
    id: 'window',
    classes: ['restart_service'],
    condition: 'environment != "production"',
    otherwise: 'fail' as const,
    reason: 'Services restart in their window.',
  };
  return { ...bundle, gates: [...bundle.gates, window], breakglass: { ...SECTION, ...section } };
}

export const PLACE: BreakglassPlace = {
  actor: 'agent:ops-1',
  class: 'restart_service',
  environment: 'production',
  target: { type: 'service', id: 'relay-2' },
  ttl_seconds: 1_800,
};
export const REASON = { hazard: 'the line floods' };

export type Answer = { status: number; body: JsonObject };

/** What a person changes about the act that they sign. */
interface Changes {
  place?: Partial<BreakglassPlace>;
  reason?: Record<string, string>;
  act?: Partial<SignedAct>;
  who?: Person;
}

export class GlassSite extends EngineFixture {
  /** The body of an activation by `lena`, as her tool would make it. */
  activation({ place = {}, reason = REASON, act = {}, who = lena }: Changes = {}): JsonObject {
    const scope = formatScope({ ...PLACE, ...place }, reason);
    const changes: Partial<SignedAct> = {
      subject: `bg_${uuidv7(this.clock.now())}`,
      subject_digest: { scope: scopeDigest(scope) },
      answer: 'activate',
      role: 'l5',
      ...act,
    };
    return { scope, ...this.sign(who, {}, changes, 'breakglass') };
  }

  activate(changes: Changes = {}): Answer {
    return this.call('breakglass.activate', { json: this.activation(changes) });
  }

  /** Breaks the glass; throws unless it was broken. The session. */
  opened(changes: Changes = {}): JsonObject {
    const { status, body } = this.activate(changes);
    if (status !== 200 || !isSessionId(String(body.id))) throw new Error(JSON.stringify(body));
    return body;
  }

  /** An act about a session, or another's word on it. */
  about(
    session: JsonObject,
    to: 'end' | 'review',
    { who = to === 'end' ? lena : rita, act = {} }: Changes = {},
  ): Answer {
    const changes: Partial<SignedAct> = {
      subject: String(session.id),
      subject_digest: { scope: String(session.scope_digest) },
      answer: to === 'end' ? 'end' : 'reviewed',
      role: to === 'end' ? 'l5' : 'reviewer',
      ...act,
    };
    const kind = to === 'end' ? 'breakglass' : 'review';
    const json = this.sign(who, {}, changes, kind);
    return this.call(to === 'end' ? 'breakglass.end' : 'breakglass.review', {
      args: { id: String(session.id) },
      json,
    });
  }

  session({ id }: JsonObject): JsonObject {
    return this.call('breakglass.get', { args: { id: String(id) } }).body;
  }

  redeem({ permit }: JsonObject): Answer {
    const { id, action_digest } = permit as JsonObject;
    const json = { audience: 'gateway', action_digest: String(action_digest) };
    return this.call('permits.redeem', { args: { id: String(id) }, json });
  }

  /** A grant on paper: its document, the act that issues it, and the code. */
  paper({ place = {}, act = {}, who = lena, grant = {} }: Changes & { grant?: Partial<Grant> } = {}) {
    const id = grant.id ?? `grant_${uuidv7(this.clock.now())}`;
    const code = codeOf(randomBytes(20));
    const text = formatGrant({
      ...PLACE,
      id,
      site: SITE,
      log: `${SITE}/ledger`,
      commitment: commitCode(id, code),
      expires_at: new Date(this.clock.now() + 30 * 86_400_000).toISOString(),
      ...place,
      ...grant,
    });
    const changes: Partial<SignedAct> = {
      subject: id,
      subject_digest: { grant: grantDigest(text) },
      answer: 'issue',
      role: 'l5',
      ttl_seconds: 30 * 86_400,
      ...act,
    };
    return { id, code, grant: text, ...this.sign(who, {}, changes, 'grant') };
  }

  issue(paper: ReturnType<GlassSite['paper']>): Answer {
    const { grant, act, signature } = paper;
    return this.call('grants.issue', { json: { grant, act, signature } });
  }

  redeemGrant(id: string, body: JsonObject): Answer {
    const json = { actor: { id: 'olga' }, reason: 'nobody can be reached', fields: REASON, ...body };
    return this.call('grants.redeem', { args: { id }, json });
  }
}
