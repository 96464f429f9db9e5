import type { Halt, IncidentData } from '../core/incident.ts';
import type { Target } from '../core/request.ts';
import type { SiteStop } from '../core/site-stops.ts';
import { canonicalText } from '../formats/canonical-json.ts';
import { decodeEntry, type Entry } from '../formats/entry.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Projections } from './projections.ts';

/** Incidents that may be open at a time; the one that would be the next halts the site, and then there are enough. */
export const OPEN_INCIDENTS_MAX = 100;
/** More rows than can ever be open. */
const READ_MAX = 10 * OPEN_INCIDENTS_MAX;

/** An incident that is open, and what it halts. */
export interface OpenIncident {
  id: string;
  halt: Halt;
  /** Tells whether the same was reported before. */
  key: string;
  opened_at: string;
  data: IncidentData;
}

/**
 * What open incidents halt. A cache over the ledger, made when the ledger is opened and kept in step by the methods that
 * record incidents; a batch that falls takes it along. While nothing is halted it costs one comparison.
 */
export class Halts {
  readonly #open = new Map<string, OpenIncident>();
  /** Each with the incident that came first. */
  #site: string | null = null;
  readonly #targets = new Map<string, string>();
  readonly #tools = new Map<string, string>();

  /** Whether anything is halted. */
  get any(): boolean {
    return this.#open.size > 0;
  }

  /** Oldest first. */
  all(): OpenIncident[] {
    return [...this.#open.values()];
  }

  get(id: string): OpenIncident | null {
    return this.#open.get(id) ?? null;
  }

  /** The open incident that says the same; null when there is none. */
  same(key: string): OpenIncident | null {
    for (const incident of this.#open.values()) if (incident.key === key) return incident;
    return null;
  }

  /** What holds back an action on a target by a tool; null when nothing does. The widest halt speaks first. */
  stopFor(target: Target | null, tool: string | null): Extract<SiteStop, { cause: 'incident' }> | null {
    if (this.#site !== null) return { cause: 'incident', incident: this.#site, scope: 'site' };
    const ofTool = tool === null ? undefined : this.#tools.get(tool);
    if (ofTool !== undefined) return { cause: 'incident', incident: ofTool, scope: 'tool' };
    const ofTarget = target === null ? undefined : this.#targets.get(targetKey(target));
    return ofTarget === undefined ? null : { cause: 'incident', incident: ofTarget, scope: 'target' };
  }

  /** Whether what a halt would hold back is held back already. */
  covers(halt: Halt): boolean {
    if (this.#site !== null) return true;
    if (halt.scope === 'tool') return this.#tools.has(halt.tool);
    return halt.scope === 'target' && this.#targets.has(targetKey(halt.target));
  }

  /** Follows an `incident.opened` entry. */
  opened(entry: Pick<Entry, 'stream' | 'at' | 'data'>): void {
    const data = entry.data as unknown as IncidentData;
    const incident = { id: entry.stream, halt: data.halt, key: incidentKey(data), opened_at: entry.at, data };
    this.#open.set(incident.id, incident);
    this.#index(incident);
  }

  /** Follows an `incident.cleared` entry. What another incident halts too stays halted. */
  cleared(id: string): void {
    this.#open.delete(id);
    this.#site = null;
    this.#targets.clear();
    this.#tools.clear();
    for (const incident of this.#open.values()) this.#index(incident);
  }

  #index({ id, halt }: OpenIncident): void {
    if (halt.scope === 'site') this.#site ??= id;
    else if (halt.scope === 'tool') setFirst(this.#tools, halt.tool, id);
    else setFirst(this.#targets, targetKey(halt.target), id);
  }
}

/** What is halted, as the entries of an open ledger say. */
export function readHalts(ledger: Ledger, projections: Projections): Halts {
  const halts = new Halts();
  for (const { id, first_idx } of projections.standingOpen('incident', READ_MAX)) {
    const bytes = ledger.entry(first_idx);
    if (bytes === null)
      throw new Error(`halts: incident ${id} names entry ${first_idx}, which does not exist`);
    halts.opened(decodeEntry(bytes));
  }
  return halts;
}

/** What two reports of the same thing have in common. A self-test that fails again is the same failure. */
export function incidentKey({ cause, halt, detail, evidence, reporter }: IncidentData): string {
  const same = reporter === 'daemon' ? { cause, reporter } : { cause, detail, evidence, halt, reporter };
  return canonicalText(same as unknown as JsonObject as Json);
}

function targetKey({ type, id }: Target): string {
  return `${type}:${id}`;
}

function setFirst(map: Map<string, string>, key: string, value: string): void {
  if (!map.has(key)) map.set(key, value);
}
