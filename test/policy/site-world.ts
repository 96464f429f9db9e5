import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { composeEngine } from '../../daemon/engine/compose.ts';
import { Engine } from '../../daemon/engine/engine.ts';
import { initializeLedger } from '../../daemon/engine/initialize.ts';
import { InlineEngine } from '../../daemon/engine/inline.ts';
import { type EngineHandle, internal, textOf } from '../../daemon/engine/protocol.ts';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import type { MachineClock } from '../../daemon/host/clock.ts';
import { formatConfig } from '../../daemon/host/config.ts';
import { makeDir } from '../../daemon/host/durable-file.ts';
import { createSealingKey } from '../../daemon/host/sealer.ts';
import { createSigningKey, loadSigner } from '../../daemon/host/signer.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';
import { type ImportResult, importUpdate } from '../../daemon/policy/import.ts';
import { judgeUpdate } from '../../daemon/policy/judge.ts';
import type { Medium } from '../../daemon/policy/medium.ts';
import { PolicyStore } from '../../daemon/policy/store.ts';
import { ManualClock } from '../host/manual-clock.ts';
import { temporaryDir } from '../host/temporary.ts';
import { checkLedger, type Truth } from '../oracle.ts';
import { NOW, SITE } from './publisher-world.ts';

/** One machine that does not sleep, whose kernel says nothing about its clock. */
class StillMachine extends ManualClock implements MachineClock {
  readonly boot = 'one';

  noticeSleep(): boolean {
    return false;
  }

  synchronized(): boolean | null {
    return null;
  }
}

/** A site with a real engine on real files that trusts a publisher, with a clock of its own. */
export class SiteWorld {
  readonly paths: SitePaths;
  readonly clock = new StillMachine(NOW);
  readonly store: PolicyStore;
  readonly #trust: { origin: string; vkeys: string[] };
  #engine: EngineHandle;

  constructor(root: Uint8Array) {
    this.paths = sitePaths(join(temporaryDir(), 'site'));
    const { trust, inbox, outbox, state, keys, policy } = this.paths;
    for (const dir of [this.paths.root, trust, inbox, outbox, state, keys, policy]) makeDir(dir, 0o700);
    writeFileSync(this.paths.config, formatConfig({ site: SITE, profile: 'node', operatorActor: null }));
    writeFileSync(join(trust, 'root.json'), root);
    const origin = `${SITE}/ledger`;
    const { vkey } = createSigningKey(join(keys, 'ledger.key'), origin);
    writeFileSync(join(trust, 'ledger.vkey'), `${vkey}\n`);
    createSealingKey(join(keys, 'sealing.key'));
    this.#trust = { origin, vkeys: [vkey] };
    const signer = loadSigner(join(keys, 'ledger.key'));
    const first = { site: SITE, profile: 'node', rootDigest: sha256Hex(root) } as const;
    initializeLedger(this.paths, { ...first, signer, now: this.clock.now() });
    this.store = new PolicyStore(policy);
    this.#engine = this.#open();
    onTestFinished(() => this.#engine.stop('test over'));
  }

  #open(): EngineHandle {
    return new InlineEngine(new Engine({ ...composeEngine({ dir: this.paths.root }), clock: this.clock }));
  }

  /** An orderly stop and a new start. */
  async restart(whileStopped: () => void = () => {}): Promise<void> {
    await this.#engine.stop('restart');
    whileStopped();
    this.#engine = this.#open();
  }

  import(path: string, medium?: Medium): Promise<ImportResult> {
    return importUpdate({
      path,
      paths: this.paths,
      site: SITE,
      engine: this.#engine,
      store: this.store,
      clock: this.clock,
      who: 'operator:ana',
      simulate: true,
      judge: (job, onGood) => judgeUpdate(job, onGood, medium),
    });
  }

  async ask(
    method: 'policy.get' | 'status.get' | 'decisions.create',
    body?: JsonObject,
  ): Promise<JsonObject> {
    const text = body === undefined ? null : JSON.stringify(body);
    return JSON.parse(textOf(await this.#engine.call(internal(method, text)))) as JsonObject;
  }

  /** The whole ledger, after the oracle went over it. */
  truth(): Truth {
    return checkLedger(this.paths, this.#trust);
  }

  /** What imports have left of their private copies. */
  staged(): string[] {
    const dir = join(this.paths.state, '.staging');
    return existsSync(dir) ? readdirSync(dir) : [];
  }

  /** Every file of the policy store by name, with its digest. */
  stored(): Record<string, string> {
    const { policy } = this.paths;
    const files = readdirSync(policy, { recursive: true, withFileTypes: true });
    return Object.fromEntries(
      files.map((file) => {
        const path = join(file.parentPath, file.name);
        const name = path.slice(policy.length + 1);
        return [name, file.isDirectory() ? 'directory' : sha256Hex(readFileSync(path))];
      }),
    );
  }

  /**
   * Runs an import that must be refused with this code, and leave nothing but one entry that says so: the same policy
   * store, byte for byte, the same policy in force, nothing staged, a ledger that the oracle finds whole.
   */
  async refuses(code: string, attempt: () => Promise<ImportResult>): Promise<void> {
    const before = { stored: this.stored(), policy: await this.ask('policy.get'), truth: this.truth() };
    const result = await attempt();
    expect(result).toMatchObject({ applied: false, code });
    const { entries } = this.truth();
    expect(entries.length).toBe(before.truth.entries.length + 1);
    expect(entries.at(-1)).toMatchObject({ type: 'policy.refused', data: { code, who: 'operator:ana' } });
    expect(result.record_id).toBe(entries.length - 1);
    expect(this.stored()).toEqual(before.stored);
    expect(await this.ask('policy.get')).toEqual(before.policy);
    expect(this.staged()).toEqual([]);
  }
}
