import type { Bundle } from '../../daemon/core/bundle.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { ActKind, SignedAct } from '../../daemon/formats/signed-act.ts';
import { GlassSite, glassBundle, lena } from '../engine/breakglass-world.ts';
import { alice, ask, bob, carol } from '../engine/bundle.ts';
import type { Person } from '../engine/fixture.ts';
import type { Kind, Name } from './model.ts';

const PEOPLE: Readonly<Record<Name, Person>> = { alice, bob, carol, lena };
const ASKS: Readonly<Record<Kind, readonly [string, string]>> = {
  read: ['read_telemetry', 'sensor:pump'],
  firmware: ['install_firmware', 'device:valve-7'],
  wipe: ['wipe_storage', 'disk:one'],
  // Denied by a gate, but for break-glass.
  glass: ['restart_service', 'service:relay-2'],
};

/** The one policy that the model knows. */
export function modelBundle(version = 1): Bundle {
  const made = glassBundle(
    { review: { roles: ['l5'], within: '8h', overdue: 'escalate' }, max_open: 1 } as never,
    {
      suspension: { roles: ['safety_officer'] },
      incidents: { reporter_roles: ['reviewer'], resume_roles: ['l3'] },
    },
  );
  made.metadata.version = version;
  return made;
}

/** A real engine on real files, driven by the same words as the model. */
export class ModelSite extends GlassSite {
  readonly ids: string[] = [];
  readonly sessionBodies: JsonObject[] = [];
  readonly incidents: JsonObject[] = [];
  version = 1;

  make(kind: Kind): JsonObject {
    const { body } = this.call('decisions.create', { json: ask(...ASKS[kind]) });
    this.ids.push(String(body.decision_id));
    return body;
  }

  show(index: number): JsonObject {
    return this.call('decisions.get', { args: { id: this.ids[index] ?? '' } }).body;
  }

  /** Submits a signed act about a decision; whether it counted. */
  act(index: number, name: Name, kind: ActKind, changes: Partial<SignedAct>): boolean {
    const method = { approval: 'approve', review: 'review', reconcile: 'reconcile' }[
      kind as 'approval'
    ] as 'approve';
    const json = this.sign(PEOPLE[name], this.show(index), changes, kind);
    const { status } = this.call(`decisions.${method}`, { args: { id: this.ids[index] ?? '' }, json });
    return status < 400;
  }

  cancel(index: number): boolean {
    const json = { actor: { id: 'agent:ops-1', role: 'agent' }, reason: 'not needed' };
    return this.call('decisions.cancel', { args: { id: this.ids[index] ?? '' }, json }).status < 400;
  }

  use(index: number): boolean {
    const decision = this.show(index);
    return decision.permit === undefined ? false : this.redeem(decision).status === 200;
  }

  outcome(index: number, result: string): boolean {
    const permit = this.show(index).permit as { id: string } | undefined;
    if (permit === undefined) return false;
    const json = { audience: 'gateway', result, detail: {} };
    return this.call('permits.outcome', { args: { id: permit.id }, json }).status < 400;
  }

  breakGlass(): boolean {
    const { status, body } = this.activate();
    if (status === 200) this.sessionBodies.push(body);
    return status === 200;
  }

  endGlass(index: number): boolean {
    const session = this.sessionBodies[index];
    return session !== undefined && this.about(session, 'end').status === 200;
  }

  suspendPerson(name: Name): boolean {
    const changes = { subject: name, subject_digest: {}, answer: 'suspend', role: 'safety_officer' };
    return this.call('keys.suspend', { json: this.sign(bob, {}, changes, 'suspend') }).status === 200;
  }

  halt(): boolean {
    const json = { detail: 'the self-test was not refused', cause: 'canary_failed' };
    const { status, body } = this.call('incidents.open', { json });
    if (status === 200 && body.already_open !== true) this.incidents.push(body);
    return status === 200;
  }

  resume(): boolean {
    const incident = this.incidents.at(-1);
    if (incident === undefined) return false;
    const changes = {
      subject: String(incident.incident_id),
      subject_digest: { incident: String(incident.digest) },
      answer: 'resume',
      role: 'l3',
    };
    const { status } = this.call('incidents.resume', {
      args: { id: String(incident.incident_id) },
      json: this.sign(alice, {}, changes, 'resume'),
    });
    if (status === 200) this.incidents.pop();
    return status === 200;
  }

  /** The same rules under the next number: what is pinned stays pinned. */
  update(): boolean {
    this.version += 1;
    return this.apply(modelBundle(this.version), this.version).status === 200;
  }
}
