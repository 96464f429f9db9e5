import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EMPTY_ROOT } from '../../daemon/formats/merkle.ts';
import { parsePolicy } from '../../daemon/formats/tlog-policy.ts';
import { verifyProof } from '../../daemon/formats/tlog-proof.ts';
import { DEFAULT_SYNC_LIMITS } from '../../daemon/host/config/sync.ts';
import { Budget } from '../../sync/download.ts';
import { Link } from '../../sync/link.ts';
import { askWitnesses, type Witnessed } from '../../sync/witness.ts';
import { must } from '../demo/narrator.ts';
import { Stage } from '../demo/stage.ts';
import { checkLedger } from '../oracle.ts';
import { type Certificates, makeCertificates } from '../sync/certificates.ts';

/*
 * A public witness (filippo.io/torchwood, cmd/litewitness) cosigns what a real site exports. Run where that program is
 * installed, or named by LITEWITNESS; it takes plain HTTP, so TLS ends in front of it and the bytes go on as they came.
 */

const PROGRAM = process.env.LITEWITNESS ?? 'litewitness';
// It has no --version: with a flag that it does not know it prints its usage and ends.
const isHere = spawnSync(PROGRAM, ['-help'], { stdio: 'pipe' }).error === undefined;
const NAME = 'witness.example/lite';
const SITE = 'outpost-7.example';

class LiteWitness {
  readonly dir = mkdtempSync(join(tmpdir(), 'hf-litewitness-'));
  readonly #children: ChildProcess[] = [];
  #front: Server | null = null;
  #log = '';

  get vkey(): string {
    const found = new RegExp(`${NAME}\\+[0-9a-f]{8}\\+[A-Za-z0-9+/=]+`).exec(this.#log)?.[0];
    must(found !== undefined, `litewitness said no verifier key: ${this.#log}`);
    return found ?? '';
  }

  /** Its database with the log that it is to follow, its key in an agent, and TLS in front of it. */
  async start(vkey: string, certificates: Certificates): Promise<string> {
    const [agent, key, database] = ['agent.sock', 'key', 'witness.db'].map((name) =>
      join(this.dir, name),
    ) as [string, string, string];
    this.#know(database, vkey);
    this.#children.push(spawn('ssh-agent', ['-D', '-a', agent], { stdio: 'ignore' }));
    await until(() => existsSync(agent));
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    execFileSync('ssh-add', ['-q', key], { env: { ...process.env, SSH_AUTH_SOCK: agent }, stdio: 'pipe' });
    const print = execFileSync('ssh-keygen', ['-lf', `${key}.pub`], { encoding: 'utf8' }).split(' ')[1] ?? '';
    const port = await freePort();
    const args = [
      '-name',
      NAME,
      '-db',
      database,
      '-ssh-agent',
      agent,
      '-key',
      print,
      '-listen',
      `127.0.0.1:${port}`,
    ];
    const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
    }
    await until(() => this.#log.includes('listening'));
    return this.#tls(port, certificates);
  }

  #know(path: string, vkey: string): void {
    const database = new DatabaseSync(path);
    database.exec(`CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
      CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin))`);
    const origin = vkey.split('+')[0] ?? '';
    const empty = Buffer.from(EMPTY_ROOT).toString('base64');
    database.prepare('INSERT INTO log VALUES (?, 0, ?)').run(origin, empty);
    database.prepare('INSERT INTO key VALUES (?, ?)').run(origin, vkey);
    database.close();
  }

  async #tls(port: number, { server, ca }: Certificates): Promise<string> {
    const tls = {
      cert: readFileSync(server.certificate),
      key: readFileSync(server.key),
      ca: readFileSync(ca),
    };
    this.#front = createServer({ ...tls, requestCert: true }, (asked, answer) => {
      const { method, url, headers } = asked;
      const on = request({ host: '127.0.0.1', port, method, path: url, headers }, (back) => {
        answer.writeHead(back.statusCode ?? 502, back.headers);
        back.pipe(answer);
      });
      on.once('error', () => answer.destroy());
      asked.pipe(on);
    });
    await new Promise<void>((done) => this.#front?.listen(0, '127.0.0.1', done));
    const address = this.#front.address();
    return `https://localhost:${typeof address === 'object' ? address?.port : 0}/`;
  }

  async stop(): Promise<void> {
    this.#front?.closeAllConnections();
    await new Promise((done) => (this.#front === null ? done(null) : this.#front.close(done)));
    for (const child of this.#children) child.kill('SIGTERM');
    rmSync(this.dir, { recursive: true, force: true });
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries += 1) {
    must(tries < 300, 'litewitness did not come up');
    await pause(50);
  }
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe.skipIf(!isHere)(`litewitness${isHere ? '' : ` (skipped: ${PROGRAM} is not installed)`}`, () => {
  const stage = new Stage();
  const witness = new LiteWitness();
  let certificates: Certificates;
  let url: string;

  beforeAll(async () => {
    certificates = makeCertificates(stage.dir, 'w');
    await done('init', '--site', SITE, '--profile', 'dev', '--policy', stage.writePolicy());
    const vkey = readFileSync(join(stage.paths.trust, 'ledger.vkey'), 'utf8').trim();
    url = await witness.start(vkey, certificates);
    const policy = `log ${vkey}\nwitness lite ${witness.vkey}\nquorum lite\n`;
    writeFileSync(join(stage.paths.trust, 'tlog-policy'), policy);
    await stage.start('daemon');
    mkdirSync(stage.paths.sync, { recursive: true });
  }, 120_000);
  afterAll(async () => {
    await witness.stop();
    expect(await stage.clear()).toEqual([]);
  });

  async function done(...args: string[]): Promise<string> {
    const ran = await stage.holdfast(...args);
    must(ran.code === 0, `${args.join(' ')}: ${ran.stderr}${ran.stdout}`);
    return ran.stdout;
  }

  async function ask(): Promise<Witnessed[]> {
    const link = new Link({
      hosts: ['localhost'],
      proxy: null,
      certificate: readFileSync(certificates.client.certificate),
      key: readFileSync(certificates.client.key),
      ca: readFileSync(certificates.ca),
    });
    const { inbox, outbox, sync: state } = stage.paths;
    const budget = new Budget(DEFAULT_SYNC_LIMITS, new AbortController().signal);
    try {
      return await askWitnesses({ link, witnesses: [{ name: 'lite', url }], inbox, outbox, state, budget });
    } finally {
      link.close();
    }
  }

  const cosigned = (): number[] => {
    const { ledger, head, trust } = stage.paths;
    const vkeys = [readFileSync(join(trust, 'ledger.vkey'), 'utf8').trim()];
    const { entries } = checkLedger({ ledger, head }, { origin: `${SITE}/ledger`, vkeys });
    return entries.filter(({ type }) => type === 'anchor.cosigned').map(({ data }) => Number(data.size));
  };

  it('cosigns anchors as they are exported, from the first on, and again along the chain', async () => {
    const sizes: number[] = [];
    for (let round = 1; round <= 3; round += 1) {
      await stage.requests.createDecision({
        action: {
          class: 'read_telemetry',
          intent: 'look',
          target: { type: 'sensor', id: 'pump-1' },
          payload: {},
        },
        context: { actor: { id: 'agent:ops-1' }, environment: 'production' },
      } as never);
      const { size } = JSON.parse(await done('anchor', 'export', '--json')) as { size: number };
      sizes.push(size);
      expect(await ask()).toMatchObject([{ outcome: 'cosigned', size }]);
      await stage.until('the daemon to record it', async () => cosigned().includes(size));
    }
    expect(cosigned()).toEqual(sizes);
    const inbox = join(stage.paths.inbox, 'cosignatures');
    await stage.until('the inbox to be empty', async () => readdirSync(inbox).length === 0);
  }, 120_000);

  it('stands behind proofs that anybody checks with the tlog-policy alone', async () => {
    const file = join(stage.dir, 'entry.tlog-proof');
    await done('ledger', 'prove', '1', '--cosigned', '-o', file);
    const policy = parsePolicy(readFileSync(join(stage.paths.trust, 'tlog-policy'), 'utf8'));
    const { checkpoint, index } = verifyProof(readFileSync(file, 'utf8'), { policy });
    expect(index).toBe(1);
    expect(checkpoint.verified.map(({ name }) => name).sort()).toEqual([`${SITE}/ledger`, NAME]);
  });

  it('tells where it stands when sync has forgotten, and is followed from there', async () => {
    rmSync(join(stage.paths.sync, 'witnesses'), { recursive: true });
    rmSync(join(stage.paths.sync, 'anchors'), { recursive: true });
    await done('anchor', 'export', '--json');
    const [first] = await ask();
    expect(first?.outcome).toBe('cosigned');
  });
});
