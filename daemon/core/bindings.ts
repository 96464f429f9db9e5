import { celList, celMap } from '@bufbuild/cel';
import type { TimeTrust } from '../formats/entry.ts';
import type { Json } from '../formats/json.ts';
import type { BundlePrincipal } from './bundle.ts';
import type { Bindings } from './condition.ts';
import type { DecisionRequest } from './request.ts';
import type { ClassRules } from './rules.ts';

/** The values of the conditions' variables; each is made when a condition first asks for it. */
export class RequestBindings implements Bindings {
  readonly #request: DecisionRequest;
  readonly #class: ClassRules;
  readonly #principal: BundlePrincipal | null;
  readonly #facts: { now_ms: number; time_trust: TimeTrust };
  readonly environment: string;
  #action: unknown;
  #payload: unknown;
  #actor: unknown;

  constructor(
    request: DecisionRequest,
    actionClass: ClassRules,
    principal: BundlePrincipal | null,
    environment: string,
    facts: { now_ms: number; time_trust: TimeTrust },
  ) {
    this.#request = request;
    this.#class = actionClass;
    this.#principal = principal;
    this.#facts = facts;
    this.environment = environment;
  }

  get action(): unknown {
    const { class: name, intent, target } = this.#request.action;
    this.#action ??= mapOf({
      class: name ?? '',
      intent: intent ?? '',
      target: mapOf({ type: target?.type ?? '', id: target?.id ?? '' }),
    });
    return this.#action;
  }

  get payload(): unknown {
    if (this.#payload === undefined) {
      const values: Record<string, unknown> = {};
      for (const [name, { type, sensitive }] of this.#class.fields) {
        const value = Object.hasOwn(this.#request.action.payload, name)
          ? this.#request.action.payload[name]
          : undefined;
        if (value !== undefined && !sensitive) values[name] = celValue(type, value);
      }
      this.#payload = mapOf(values);
    }
    return this.#payload;
  }

  get actor(): unknown {
    const { id, role } = this.#request.context.actor;
    this.#actor ??= mapOf({
      id: id ?? '',
      kind: this.#principal?.kind ?? '',
      role: role ?? '',
      ...standingOf(this.#principal),
    });
    return this.#actor;
  }

  get context(): unknown {
    const { request_source, trace, environment } = this.#request.context;
    return mapOf({
      request_source: request_source ?? '',
      correlation_id: trace.correlation_id ?? '',
      parent_id: trace.parent_id ?? '',
      environment_assumed: environment === null,
    });
  }

  get labels(): unknown {
    return mapOf(this.#request.context.labels);
  }

  get time(): unknown {
    const now = new Date(this.#facts.now_ms);
    return mapOf({
      hour: BigInt(now.getUTCHours()),
      weekday: BigInt(now.getUTCDay()),
      trust: this.#facts.time_trust,
    });
  }
}

/** The lists of a principal as conditions see them; the same for every request, so made once. */
const standings = new WeakMap<BundlePrincipal, Record<string, unknown>>();

function standingOf(principal: BundlePrincipal | null): Record<string, unknown> {
  const known = principal === null ? undefined : standings.get(principal);
  if (known !== undefined) return known;
  const made = {
    roles: celList([...(principal?.roles ?? [])]),
    owner: principal?.owner ?? '',
    risk_tier: principal?.risk_tier ?? '',
    capabilities: celList([...(principal?.capabilities ?? [])]),
  };
  if (principal !== null) standings.set(principal, made);
  return made;
}

/** CEL tells int from double by the JavaScript type. */
function celValue(type: string, value: Json): unknown {
  if (type === 'integer' && typeof value === 'number') return BigInt(value);
  return Array.isArray(value) ? celList(value.map(String)) : value;
}

function mapOf(members: Record<string, unknown>): unknown {
  return celMap(new Map(Object.entries(members)) as Parameters<typeof celMap>[0]);
}
