import { spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ApiClient } from '../../daemon/api/client.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { type SitePaths, sitePaths } from '../../daemon/host/site.ts';
import { openHeadStore } from '../../daemon/ledger/head-store.ts';
import { viewLedger } from '../../daemon/ledger/open.ts';
import { claimedHead } from '../../daemon/ledger/tile-reader.ts';
import { PROGRAM } from '../program.ts';
import { ROOT } from '../structure/sources.ts';
import { ask, ORIGIN, type Ran, type Role, SITE, until, World } from '../world.ts';

/* A year of a site, made once, and what was kept of it elsewhere; each attack gets a copy of all that a thief can reach. */

const SEALED_CLASS = `
# Its value is sealed beside the ledger.
sealed_mark:
  description: Leave a mark that nobody may read.
  target: { type: mark, id_pattern: "[a-z0-9-]{1,60}" }
  payload:
    pin: { type: string, description: What is not to be read., required: true, sensitive: true, max_length: 20 }
  base_risk: 0.1
  tool: sealed-mark
  permit_ttl: 1h
`;
const SEALED_TOOL = `
sealed-mark:
  connector: exec
  argv: [WORK/mark, WORK/marks, "{{target.id}}"]
  stdin: [pin]
  timeout: 20s
`;

/** When a copy of everything at the site was taken: before the key was changed, in autumn, at the end, and while it ran. */
export type Moment = 'june' | 'september' | 'now' | 'running';

/** What one attacker works on: the site, and the second copy on the other disk. */
export interface Loot {
  dir: string;
  paths: SitePaths;
  second: string;
}

export class Year {
  readonly world: World;
  #cases = 0;

  private constructor(world: World) {
    this.world = world;
  }

  static async make(): Promise<Year> {
    const policy = mkdtempSync(join(tmpdir(), 'hf-policy-'));
    cpSync(join(ROOT, 'test/crash/policy'), policy, { recursive: true });
    appendFileSync(join(policy, 'actions.yaml'), SEALED_CLASS);
    appendFileSync(join(policy, 'tools.yaml'), SEALED_TOOL);
    writeFileSync(join(policy, 'retention.yaml'), 'archive_after: 1s\nsegment_size: 256\n');
    const world = await World.make(policy).finally(() => rmSync(policy, { recursive: true }));
    const year = new Year(world);
    try {
      await year.#pass();
      return year;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  /** A file that lies where the site cannot reach it. */
  kept(name: string): string {
    return join(this.world.root, 'kept', name);
  }

  async #pass(): Promise<void> {
    const { world } = this;
    mkdirSync(this.kept('.'), { recursive: true });
    await this.done('copy', 'new', join(world.root, 'second'));
    const config = JSON.parse(readFileSync(world.paths.config, 'utf8')) as JsonObject;
    writeFileSync(
      world.paths.config,
      JSON.stringify({ ...config, copy: { path: join(world.root, 'second') } }),
    );
    await this.done(
      'anchor',
      'witness-key',
      this.kept('w.key'),
      '--name',
      'witness.example/w',
      '--unprotected',
    );
    await this.#untilJune();
    await this.#untilSeptember();
    await this.#untilNow();
  }

  /** Old entries go into an archive file; one anchor leaves. */
  async #untilJune(): Promise<void> {
    await this.#running('june', async () => {
      await this.done('site', 'export-trust', this.kept('june.trust'));
      await this.deny(330);
      await this.world.client('request').createDecision(ask('sealed_mark', 'sealed', { pin: '4711' }));
      await this.world.client('request').createDecision(ask('sealed_mark', 'sealed-2', { pin: '1174' }));
      await this.#anchor('--first-seen', 'june.trust');
      await pause(1_200);
      await this.done('ledger', 'prune');
    });
  }

  /** The key is changed, and another anchor leaves. */
  async #untilSeptember(): Promise<void> {
    await this.#running('september', async () => {
      await this.done('keys', 'rotate', 'ledger', '--reason', 'half a year is enough');
      await this.done('site', 'export-trust', this.kept('now.trust'));
      await this.deny(250);
      await this.#anchor(null, 'now.trust');
    });
  }

  /** An update is answered with a receipt; the newest anchor leaves; something happens after it. */
  async #untilNow(): Promise<void> {
    const { paths, root } = this.world;
    // A reader from before keeps the log from being folded into the file, even in part.
    const reader = viewLedger(paths.ledger, this.world.trust());
    await this.#running('now', async () => {
      await this.deny(4);
      const policy = join(root, 'policy');
      const metadata = join(policy, 'metadata.yaml');
      writeFileSync(metadata, readFileSync(metadata, 'utf8').replace('version: 1', 'version: 2'));
      await this.done('repo', 'publish', paths.publisher, policy, '--site', SITE);
      await this.done('import', join(paths.publisher, 'repository'));
      await this.#anchor(null, 'now.trust');
      await until('the receipt to be written', async () => this.#receipts().length >= 2);
      mkdirSync(this.kept('receipts'));
      for (const name of this.#receipts())
        cpSync(join(paths.outbox, name), join(this.kept('receipts'), name));
      await this.#keepRunning();
      reader.close();
      await this.deny(2);
    });
  }

  #receipts(): string[] {
    return readdirSync(this.world.paths.outbox).filter((name) => name.startsWith('receipt-'));
  }

  /** Anchors go onto the stick, and past the witness. */
  async #anchor(first: string | null, trust: string): Promise<void> {
    await this.done('anchor', 'export', '-o', this.kept('stick'));
    await this.done(
      ...[
        'anchor',
        'cosign',
        this.kept('stick'),
        '--key',
        this.kept('w.key'),
        '--state',
        this.kept('w.sqlite'),
      ],
      ...['--trust', this.kept(trust), '-o', this.kept('cosigned'), ...(first === null ? [] : [first])],
    );
  }

  async #running(moment: Moment, happen: () => Promise<void>): Promise<void> {
    const daemon: Role = await this.world.daemon();
    await happen();
    await daemon.kill('SIGTERM');
    this.#keep(moment);
  }

  /** As a crash would leave it: what is new is in the write-ahead log only, and head store and second copy know it. */
  async #keepRunning(): Promise<void> {
    const { paths, root } = this.world;
    await this.deny(3);
    const { ledger } = (await this.world.client('operator').status()) as unknown as {
      ledger: { size: number };
    };
    const { size } = ledger;
    const head = (): number => {
      const store = openHeadStore(paths.head, { readonly: true });
      const known = store.read(ORIGIN)?.size ?? 0;
      store.close();
      return known;
    };
    const copied = () => claimedHead(join(root, 'second'))?.size ?? 0;
    await until('the head to be stored', async () => Math.min(head(), copied()) >= size);
    this.#keep('running');
  }

  #keep(moment: Moment): void {
    const to = this.kept(`at-${moment}`);
    copyTree(this.world.dir, join(to, 'site'));
    copyTree(join(this.world.root, 'second'), join(to, 'second'));
  }

  /** What was asked for and denied: one entry each. */
  async deny(count: number, client = this.world.client('request')): Promise<void> {
    for (let left = count; left > 0; left -= 16)
      await Promise.all(
        Array.from({ length: Math.min(16, left) }, (_, at) =>
          client.createDecision(ask('unheard_of', `m-${left - at}`)),
        ),
      );
  }

  async done(...args: string[]): Promise<Ran> {
    const ran = await this.world.holdfast(...args);
    if (ran.code !== 0) throw new Error(`${args.join(' ')}: ${ran.stderr}${ran.stdout}`);
    return ran;
  }

  /** A copy of everything at the site as of a moment, with its second copy as it is now or was then. */
  loot(moment: Moment = 'now', second: Moment = moment): Loot {
    const root = join(this.world.root, `c${this.#cases++}`);
    copyTree(join(this.kept(`at-${moment}`), 'site'), join(root, 's'));
    copyTree(join(this.kept(`at-${second}`), 'second'), join(root, 'second'));
    const paths = sitePaths(join(root, 's'));
    const config = JSON.parse(readFileSync(paths.config, 'utf8')) as JsonObject;
    writeFileSync(paths.config, JSON.stringify({ ...config, copy: { path: join(root, 'second') } }));
    return { dir: paths.root, paths, second: join(root, 'second') };
  }

  /** The newest anchor that left. */
  newestAnchor(): string {
    const stick = this.kept('stick');
    const names = readdirSync(stick, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /\.anchor$/.test(name),
    );
    return join(stick, names.sort().at(-1) ?? '');
  }
}

function copyTree(from: string, to: string): void {
  if (!existsSync(from)) throw new Error(`there is no ${from}`);
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith('.sock') });
}

/** Runs the daemon on a directory until it would serve, does something, and ends it; `code` is how it ended when it would not start. */
export async function onDaemon(
  { paths }: Loot,
  happen: (client: ApiClient) => Promise<void> = async () => {},
): Promise<{ code: number | null; words: string }> {
  const [program, ...words] = PROGRAM;
  const env = { ...process.env, NO_COLOR: '1', NODE_OPTIONS: '' };
  const child = spawn(program, [...words, 'daemon', '--dir', paths.root], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  let over: number | null = null;
  const ended = new Promise<void>((resolve) =>
    child.once('exit', (code) => {
      over = code ?? -1;
      resolve();
    }),
  );
  const client = new ApiClient({ socketPath: join(paths.run, 'request.sock'), timeoutMs: 60_000 });
  try {
    await until(
      'the daemon to start or end',
      async () => over !== null || (await client.ready().catch(() => null))?.ready === true,
    );
    if (over !== null) return { code: over, words: log };
    await happen(client);
    return { code: null, words: log };
  } finally {
    client.close();
    child.kill('SIGTERM');
    await ended;
  }
}
