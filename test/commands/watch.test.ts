import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { PROGRAM } from '../program.ts';
import { ask, type Role, until, World } from '../world.ts';
import { VirtualTerminal } from './vt.ts';

const TIMEOUT = 180_000;
const HERE = import.meta.dirname;
const PTY = spawnSync('python3', ['-c', 'import pty, termios']).status === 0;

let world: World;
let daemon: Role;
let gateway: Role;

beforeAll(async () => {
  world = await World.make();
  daemon = await world.daemon();
  gateway = await world.gateway();
}, TIMEOUT);
afterAll(() => world?.close(), TIMEOUT);

const running: ChildProcessWithoutNullStreams[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

/** A watching person: a terminal, what it shows, and a hand on the keyboard. */
class Viewer {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #columns: number;
  terminal: VirtualTerminal;
  raw = '';
  readonly ended: Promise<number | null>;

  constructor(rows: number, columns: number, env: NodeJS.ProcessEnv = {}) {
    this.#columns = columns;
    this.terminal = new VirtualTerminal(rows, columns);
    const program = [...PROGRAM, 'watch', '--dir', world.dir];
    this.#child = spawn('python3', [join(HERE, 'terminal.py'), `${rows}`, `${columns}`, ...program], {
      env: { ...process.env, TERM: 'vt100', NO_COLOR: '1', NODE_OPTIONS: '', ...env },
    });
    running.push(this.#child);
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.raw += text;
      this.terminal.write(text);
    });
    this.ended = new Promise((resolve) => this.#child.once('close', resolve));
  }

  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** The next drawing is for another size; what was drawn for the old one is gone. */
  resize(rows: number, columns = this.#columns): void {
    this.terminal = new VirtualTerminal(rows, columns);
    this.tell(`size ${rows} ${columns}`);
  }

  shows(words: string): Promise<void> {
    return until(`${JSON.stringify(words)} in\n${this.terminal.text}`, async () =>
      this.terminal.text.includes(words),
    );
  }
}

describe.skipIf(!PTY)('holdfast watch on a terminal', () => {
  it(
    'shows what waits, what is recorded, and that the daemon went and came back',
    async () => {
      const viewer = new Viewer(24, 80);
      await viewer.shows('WAITING FOR APPROVAL (0): none');
      await viewer.shows('deciding  yes');
      expect(viewer.terminal.modes).toContain('?1049');
      expect(viewer.terminal.modes).not.toContain('?25');
      const waiting = await world.client('request').createDecision(ask('careful_mark', 'watched'));
      await viewer.shows(waiting.decision_id);
      await viewer.shows('decision.pending_authority');
      await viewer.shows('1 decision for approval');

      await daemon.kill('SIGTERM');
      await viewer.shows('NO: nothing can be decided');
      expect(viewer.terminal.text).toContain('NOT READY');
      daemon = await world.daemon();
      await viewer.shows('deciding  yes');
      await world.client('request').createDecision(ask('forbidden_mark', 'after-restart'));
      await viewer.shows('mark:after-restart');
      expect(viewer.terminal.lines).toHaveLength(24);

      viewer.tell('key \\x03');
      expect(await viewer.ended).toBe(0);
      expect(viewer.terminal.modes).toEqual(new Set(['?7', '?25']));
    },
    TIMEOUT,
  );

  it(
    'writes only what changed, draws itself anew on Ctrl-L and when the size changes',
    async () => {
      const viewer = new Viewer(24, 80);
      await viewer.shows('deciding  yes');
      await until('a quiet moment', async () => viewer.raw.includes('LATEST'));
      const before = viewer.raw.length;
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      const later = viewer.raw.slice(before);
      expect(later).not.toContain('\u001b[2J');
      expect(later).not.toContain('LATEST');

      viewer.resize(40, 120);
      await viewer.shows('LATEST');
      await viewer.shows('q or Ctrl-C ends');
      expect(viewer.terminal.lines.at(-1)).toContain('q or Ctrl-C ends');
      viewer.resize(10, 60);
      await viewer.shows('q or Ctrl-C ends');
      viewer.terminal = new VirtualTerminal(10, 60);
      viewer.tell('key \\x0c');
      await viewer.shows('deciding');
      viewer.tell('key q');
      expect(await viewer.ended).toBe(0);
    },
    TIMEOUT,
  );

  it(
    'uses no colour where none is wanted, and colours where they are',
    async () => {
      const plain = new Viewer(24, 80);
      const colourful = new Viewer(24, 80, { NO_COLOR: '', TERM: 'linux' });
      await Promise.all([plain.shows('deciding  yes'), colourful.shows('deciding')]);
      expect(plain.raw).not.toMatch(/\u001b\[[\d;]*m/);
      expect(colourful.raw).toMatch(/\u001b\[32m/);
      for (const viewer of [plain, colourful]) viewer.tell('key q');
      expect(await Promise.all([plain.ended, colourful.ended])).toEqual([0, 0]);
    },
    TIMEOUT,
  );
});

describe('holdfast watch without a terminal', () => {
  it('says what else there is', async () => {
    const { code, stderr } = await world.holdfast('watch');
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('watch --json') });
  });

  it(
    'streams documents, and ends when it is interrupted',
    async () => {
      const [program = '', ...args] = [...PROGRAM, 'watch', '--json', '--dir', world.dir];
      const child = spawn(program, args, { env: { ...process.env, NODE_OPTIONS: '' } });
      running.push(child);
      let text = '';
      child.stdout.on('data', (data) => {
        text += String(data);
      });
      const ended = new Promise((resolve) => child.once('close', resolve));
      const documents = (): JsonObject[] =>
        text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as JsonObject);
      const has = (fields: JsonObject): Promise<void> =>
        until(JSON.stringify(fields), async () =>
          documents().some((one) => Object.entries(fields).every(([name, value]) => one[name] === value)),
        );
      await has({ kind: 'status', ready: true });
      await has({ kind: 'pending' });
      await world.client('request').createDecision(ask('forbidden_mark', 'streamed'));
      await has({ kind: 'entry', target: 'mark:streamed', type: 'decision.denied' });
      await gateway.kill('SIGTERM');
      await has({ kind: 'status', ready: false });
      const said = documents().filter(({ kind }) => kind === 'status').length;
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      expect(documents().filter(({ kind }) => kind === 'status')).toHaveLength(said);
      child.kill('SIGINT');
      expect(await ended).toBe(0);
      gateway = await world.gateway();
    },
    TIMEOUT,
  );
});
