import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeSite } from '../demo/actions.ts';
import { ask, later } from '../demo/asking.ts';
import { Narrator } from '../demo/narrator.ts';
import { type Acted, type Ran, SITE, Stage } from '../demo/stage.ts';

/* A site at which one of everything has happened, with real processes, tools and keys: what evidence is made of. */

class Silent extends Narrator {
  override say(): void {}
}

/** What a hostile requester writes where people read. */
export const HOSTILE =
  '</td><script>alert(1)</script><img src=x onerror=alert(2)> &lt; "quoted" \u202egnp.exe';

export class EvidenceWorld {
  readonly stage = new Stage();
  readonly psk = `psk-${randomBytes(12).toString('hex')}`;
  /** Trust file of the site, as an auditor has it. */
  readonly trust = join(this.stage.dir, 'trust.json');
  #exported = 0;

  static async make(): Promise<EvidenceWorld> {
    const world = new EvidenceWorld();
    try {
      await makeSite(world.stage, new Silent());
      done(await world.stage.holdfast('site', 'export-trust', world.trust));
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  /** Firmware by two people; a third signature that did not count, and a review. */
  async firmware(): Promise<string> {
    const { stage } = this;
    const image = randomBytes(4_096);
    const sha256 = createHash('sha256').update(image).digest('hex');
    writeFileSync(join(stage.work, 'incoming/pump-2.4.1.bin'), image);
    const payload = { file: 'pump-2.4.1.bin', sha256, version: '2.4.1' };
    const id = idOf(await stage.act(ask('install_firmware', 'device:pump-1', HOSTILE, payload)));
    for (const person of ['alice', 'alice', 'bob'])
      await stage.approve(id, person, `looked at it, ${person}`);
    ended(await stage.act(later(id)), 'succeeded');
    const key = join(stage.paths.publisher, 'people/carol');
    done(await stage.holdfast('decision', 'review', id, '--note', 'as planned', '--key', key, '--yes'));
    return id;
  }

  /** A change with a secret in it. */
  async network(): Promise<string> {
    const { stage, psk } = this;
    const id = idOf(
      await stage.act(ask('change_network', 'interface:wlan0', 'new mast', { ssid: 'mast-2', psk })),
    );
    await stage.approve(id, 'alice', 'mast 2 is up');
    ended(await stage.act(later(id)), 'succeeded');
    return id;
  }

  /** A restart under broken glass; the session is ended and reviewed. */
  async emergency(): Promise<string> {
    const { stage } = this;
    const key = (person: string) => [
      '--key',
      join(stage.paths.publisher, 'people', person),
      '--yes',
      '--json',
    ];
    const fields = ['--field', 'hazard=the line is under water', '--field', 'waiting=the crew is far away'];
    const place = ['--class', 'restart_service', '--target', 'service:relay-2', '--ttl', '30m'];
    const opened = done(
      await stage.holdfast(
        'breakglass',
        'activate',
        ...place,
        '--reason',
        'pump house floods',
        ...fields,
        ...key('dave'),
      ),
    );
    const { id: session } = JSON.parse(opened.stdout) as { id: string };
    const id = idOf(await stage.act(ask('restart_service', 'service:relay-2', 'stop the flood')));
    done(await stage.holdfast('breakglass', 'end', session, ...key('dave')));
    done(await stage.holdfast('breakglass', 'review', session, '--note', 'it was needed', ...key('bob')));
    return id;
  }

  /** Denied by a gate, and one that follows it. */
  async denial(): Promise<{ first: string; second: string }> {
    const { stage } = this;
    const wipe = ask('wipe_storage', 'block_device:sdz', 'make room');
    const first = idOf(await stage.act(wipe));
    const linked = await stage.requests.createDecision({ ...wipe, linked_to: first });
    return { first, second: linked.decision_id };
  }

  /** One that needed an exception beside an approval, one that somebody rejected, one that was withdrawn. */
  async otherEnds(): Promise<{ excepted: string; rejected: string; cancelled: string }> {
    const { stage } = this;
    const asked = async (target: string) =>
      idOf(await stage.act(ask('restart_service', target, 'other ends')));
    const [excepted, rejected, cancelled] = [
      await asked('service:sshd'),
      await asked('service:relay-2'),
      await asked('service:relay-2'),
    ];
    const sign = async (id: string, person: string, ...how: string[]) =>
      done(
        await stage.holdfast(
          ...['approvals', 'sign', id, '--key', join(stage.paths.publisher, 'people', person)],
          ...['--reason', 'looked at it', '--yes', '--json', ...how],
        ),
      );
    await sign(excepted, 'carol', '--exception', '--gate', 'protected-services');
    await sign(excepted, 'alice');
    await sign(rejected, 'alice', '--answer', 'reject');
    const why = ['--reason', 'not needed any more', '--actor', 'agent:ops-1', '--role', 'agent'];
    done(await stage.holdfast('decision', 'cancel', cancelled, ...why));
    return { excepted, rejected, cancelled };
  }

  /** A tool that fails under its permit: there is no such log. */
  async failure(): Promise<string> {
    const acted = await this.stage.act(
      ask('read_telemetry', 'sensor:nowhere', 'morning check', { lines: 2 }),
    );
    ended(acted, 'failed');
    return idOf(acted);
  }

  /** A payload that carries what may not be recorded. */
  async leak(): Promise<string> {
    const pem =
      '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----';
    return idOf(
      await this.stage.act(ask('agent_tool_call', 'tool:notify', 'tell them', { arguments: [pem] })),
    );
  }

  /** Evidence about a decision through the daemon, taken by the site lead. */
  async export(id: string, ...options: string[]): Promise<{ file: string; bytes: Buffer; ran: Ran }> {
    const file = join(this.stage.dir, `evidence-${this.#exported++}.tar`);
    const words = [
      'evidence',
      'export',
      id,
      '-o',
      file,
      '--reason',
      'audit 7',
      '--actor',
      'carol',
      ...options,
    ];
    const ran = done(await this.stage.holdfast(...words));
    return { file, bytes: readFileSync(file), ran };
  }

  /** What an auditor gets to see: no site, no daemon, the trust file. */
  verify(file: string, ...options: string[]): Promise<Ran> {
    return this.stage.holdfast('evidence', 'verify', file, '--trust', this.trust, ...options);
  }

  async close(): Promise<string[]> {
    return this.stage.clear();
  }
}

export { SITE };

function idOf({ decision, problem }: Acted): string {
  if (decision === null) throw new Error(problem?.detail ?? 'no decision');
  return decision.decision_id;
}

function ended({ outcome, problem }: Acted, result: string): void {
  if (outcome?.result !== result) throw new Error(problem?.detail ?? `ended ${outcome?.result}`);
}

function done(ran: Ran): Ran {
  if (ran.code !== 0) throw new Error(ran.stderr);
  return ran;
}
