import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { completeReply } from '../../daemon/engine/complete.ts';
import { Engine, type EngineOptions } from '../../daemon/engine/engine.ts';
import { initializeLedger } from '../../daemon/engine/initialize.ts';
import {
  type EngineCall,
  type EngineHandle,
  type EngineMethod,
  internal,
  textOf,
} from '../../daemon/engine/protocol.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { publicKeyOf } from '../../daemon/formats/ed25519.ts';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import { type ActKind, actNamespace, formatAct, type SignedAct } from '../../daemon/formats/signed-act.ts';
import { ed25519Blob } from '../../daemon/formats/ssh-public-key.ts';
import { signSshsig } from '../../daemon/formats/sshsig.ts';
import type { MachineClock } from '../../daemon/host/clock.ts';
import { LedgerKeyFiles } from '../../daemon/host/ledger-key.ts';
import { randomBytes, uuidv7 } from '../../daemon/host/random.ts';
import { createSealingKey, loadSealer, type Sealer } from '../../daemon/host/sealer.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';

export const SITE = 'outpost-7.example';
export const START = Date.parse('2031-03-01T12:00:00.000Z');

/** A clock that moves only when told to. */
export class ManualClock implements MachineClock {
  wall = START;
  mono = 1_000;
  boot = '00000000-0000-4000-8000-000000000001';
  /** What the kernel says about its clock. */
  kernel: boolean | null = null;
  /** Milliseconds of sleep that the monotonic clock has not heard of yet. */
  slept = 0;

  now(): number {
    return this.wall;
  }

  monotonic(): number {
    return this.mono;
  }

  noticeSleep(): boolean {
    this.mono += this.slept;
    const noticed = this.slept > 0;
    this.slept = 0;
    return noticed;
  }

  synchronized(): boolean | null {
    return this.kernel;
  }

  /** The machine slept: the wall clock went on, the monotonic one did not. */
  sleep(ms: number): void {
    this.wall += ms;
    this.slept += ms;
  }

  /** The machine is started again; its clock says `wall`. */
  boots(wall: number): void {
    this.boot = `00000000-0000-4000-8000-${String(Number(this.boot.slice(-12)) + 1).padStart(12, '0')}`;
    this.wall = wall;
    this.mono = 500;
  }

  /** Time passes: both clocks move. */
  pass(ms: number): void {
    this.wall += ms;
    this.mono += ms;
  }
}

/** A person with a key, as the roster of the fixture's bundle knows them. */
export interface Person {
  seed: Uint8Array;
  line: string;
}

export function person(name: string): Person {
  const seed = Uint8Array.from(
    { length: 32 },
    (_, index) => (name.charCodeAt(index % name.length) + index) % 256,
  );
  const blob = Buffer.from(ed25519Blob(publicKeyOf(seed))).toString('base64');
  return { seed, line: `ssh-ed25519 ${blob} ${name}` };
}

/** What an engine may be given beside the rest. */
export type FixtureOptions = Pick<EngineOptions, 'peers' | 'disk' | 'heartbeatMs' | 'keyMaxAgeMs' | 'former'>;

/** A real engine on real files in a temporary directory, with a fake clock and a policy applied without a repository. */
export class EngineFixture {
  readonly clock = new ManualClock();
  readonly paths: SitePaths;
  readonly vkey: string;
  readonly reports: unknown[] = [];
  engine: Engine;

  /** For tests that fail in the middle of what is done with envelope keys. */
  wrapSealer: (sealer: Sealer) => Sealer = (sealer) => sealer;

  readonly #more: FixtureOptions;

  constructor(bundle: Bundle | null, options: FixtureOptions & { start?: number } = {}) {
    this.#more = options;
    if (options.start !== undefined) this.clock.wall = options.start;
    this.paths = sitePaths(mkdtempSync(join(tmpdir(), 'holdfast-engine-')));
    mkdirSync(this.paths.keys, { recursive: true, mode: 0o700 });
    mkdirSync(join(this.paths.policy, 'bundles'), { recursive: true });
    const { vkey } = createSigningKey(join(this.paths.keys, 'ledger.key'), `${SITE}/ledger`);
    this.vkey = vkey;
    mkdirSync(this.paths.trust, { recursive: true });
    writeFileSync(join(this.paths.trust, 'ledger.vkey'), `${vkey}\n`);
    createSealingKey(join(this.paths.keys, 'sealing.key'));
    initializeLedger(this.paths, {
      site: SITE,
      profile: 'dev',
      signer: this.#signer(),
      rootDigest: '0'.repeat(64),
      now: this.clock.now(),
    });
    this.engine = this.open();
    if (bundle === null) return;
    const { status, body } = this.apply(bundle, 1);
    if (status !== 200) throw new Error(`the fixture's policy was refused: ${JSON.stringify(body)}`);
  }

  #signer() {
    return loadSigner(join(this.paths.keys, 'ledger.key'));
  }

  open(): Engine {
    return new Engine({
      paths: this.paths,
      site: SITE,
      profile: 'dev',
      clock: this.clock,
      random: { uuidv7, bytes: randomBytes },
      signer: this.#signer(),
      keyFiles: new LedgerKeyFiles(join(this.paths.keys, 'ledger.key'), null),
      sealer: this.wrapSealer(loadSealer(join(this.paths.keys, 'sealing.key'))),
      ...this.#more,
      report: (_message, error) => this.reports.push(error),
    });
  }

  /** As after a crash: nothing is told to stop, the files are opened again. */
  reopen(): void {
    this.engine.close();
    this.engine = this.open();
  }

  call(
    method: EngineMethod,
    options: Partial<EngineCall> & { json?: Json } = {},
  ): { status: number; body: JsonObject } {
    const { json, ...rest } = options;
    const call = { ...internal(method, json === undefined ? null : JSON.stringify(json)), ...rest };
    const [draft] = this.engine.process([call]).replies;
    if (draft === undefined) throw new Error('no reply');
    const reply = completeReply(draft);
    return { status: reply.status, body: JSON.parse(textOf(reply)) as JsonObject };
  }

  /** The engine as the daemon's main thread has it. */
  handle(): EngineHandle {
    return {
      call: async (call) => {
        const [draft] = this.engine.process([call]).replies;
        if (draft === undefined) throw new Error('no reply');
        return completeReply(draft);
      },
      onEvents: () => () => {},
      stop: async () => {},
    };
  }

  /** Puts a bundle in force for the environments named (default: all that it knows). */
  apply(
    bundle: Bundle,
    serial: number,
    environments: string[] = Object.keys(bundle.environments),
    checked = false,
  ): { status: number; body: JsonObject } {
    const bytes = canonicalBytes(bundle as unknown as Json);
    const digest = sha256Hex(bytes);
    writeFileSync(join(this.paths.policy, 'bundles', `${digest}.json`), bytes);
    const { name, version } = bundle.metadata;
    const pinned = { name, version, digest, path: `bundles/${name}/${version}.json` };
    return this.call('policy.apply', {
      json: {
        update_id: digest,
        source: 'test',
        who: 'test',
        repository: { root: 1, timestamp: serial, snapshot: serial, targets: serial },
        checked,
        site_target: {
          site: SITE,
          serial,
          issued_at: bundle.metadata.issued_at,
          environments: Object.fromEntries(environments.map((env) => [env, pinned])),
        },
      },
    });
  }

  /** A signed act about a decision, as its approver would submit it. */
  sign(who: Person, decision: JsonObject, changes: Partial<SignedAct> = {}, kind: ActKind = 'approval') {
    const act: SignedAct = {
      type: 'holdfast/act/v1',
      kind,
      site: SITE,
      subject: String(decision.decision_id),
      subject_digest: { action: String(decision.action_digest), policy: String(decision.policy_digest) },
      answer: 'approve',
      role: 'l3',
      reason: 'looked at it',
      issued_at: new Date(this.clock.now()).toISOString(),
      ttl_seconds: 3_600,
      nonce: Buffer.from(randomBytes(16)).toString('base64url'),
      seen_checkpoint: null,
      ...changes,
    };
    const text = formatAct(act);
    const signature = signSshsig({
      seed: who.seed,
      publicKey: publicKeyOf(who.seed),
      namespace: actNamespace(kind),
      message: Buffer.from(text),
    });
    return { act: text, signature };
  }

  close(): void {
    this.engine.stop('test over');
    rmSync(this.paths.root, { recursive: true, force: true });
  }
}
