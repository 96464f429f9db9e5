import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Server, startServer } from './processes.ts';
import type { Question } from './questions.ts';

/*
 * Cerbos, the policy decision point that we are compared with: on its Unix socket, audit log and telemetry off, the
 * policy of ./cerbos, which says the same as ../policy. It decides and answers; it records nothing.
 */

const PACKAGE = '@cerbos/cerbos-linux-x64';
const VERSION = '0.55.0';
const INSTALL_MS = 120_000;

export interface Cerbos {
  socket: string;
  path: string;
  bodies: string[];
  /** In every answer that allows. */
  expect: string;
  server: Server;
  stop(): Promise<void>;
}

/** Path of the executable under `home`, installed from the registry when absent. Null, and why, when it cannot be had. */
export async function findCerbos(home: string): Promise<{ binary: string } | { missing: string }> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return { missing: 'no package for this machine' };
  const binary = join(home, 'node_modules', PACKAGE, 'cerbos-linux-x64');
  if (existsSync(binary)) return { binary };
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', home];
  const npm = spawn('npm', [...args, `${PACKAGE}@${VERSION}`], { stdio: 'ignore', timeout: INSTALL_MS });
  const code = await once(npm, 'exit').then(
    ([status]) => status as number | null,
    () => null,
  );
  if (code === 0 && existsSync(binary)) return { binary };
  return { missing: `${PACKAGE}@${VERSION} could not be installed (offline?)` };
}

/** Starts Cerbos with the equal policy and the equal questions. */
export async function startCerbos(binary: string, questions: readonly Question[]): Promise<Cerbos> {
  const place = mkdtempSync(join(tmpdir(), 'holdfast-cerbos-'));
  const socket = join(place, 'http.sock');
  const config = join(place, 'config.yaml');
  writeFileSync(config, configuration(place, socket));
  const remove = (): void => rmSync(place, { recursive: true, force: true });
  try {
    const server = await startServer({
      command: binary,
      args: ['server', `--config=${config}`, '--log-level=error'],
      env: { CERBOS_NO_TELEMETRY: '1', DO_NOT_TRACK: '1' },
      socket,
      readyPath: '/_cerbos/health',
    });
    const stop = async (): Promise<void> => {
      await server.stop();
      remove();
    };
    const bodies = questions.map((question, at) => JSON.stringify(checkRequest(question, at)));
    return { socket, path: '/api/check/resources', bodies, expect: '"EFFECT_ALLOW"', server, stop };
  } catch (error) {
    remove();
    throw error;
  }
}

/** JSON is YAML; only the settings that matter for the comparison differ from the defaults. */
function configuration(place: string, socket: string): string {
  return JSON.stringify({
    server: { httpListenAddr: `unix:${socket}`, grpcListenAddr: `unix:${join(place, 'grpc.sock')}` },
    storage: {
      driver: 'disk',
      disk: { directory: join(import.meta.dirname, 'cerbos'), watchForChanges: false },
    },
    audit: { enabled: false },
    telemetry: { disabled: true },
  });
}

/** The same values under the names that Cerbos has for them. */
export function checkRequest({ action, context }: Question, at: number): object {
  return {
    requestId: `bench-${at}`,
    principal: { id: context.actor.id, roles: [context.actor.role], attr: { role: context.actor.role } },
    resources: [
      {
        actions: [action.class],
        resource: {
          kind: 'telemetry',
          id: action.target.id,
          attr: {
            intent: action.intent,
            payload: action.payload,
            environment: context.environment,
            request_source: context.request_source,
            trace: context.trace,
            labels: context.labels,
          },
        },
      },
    ],
  };
}
