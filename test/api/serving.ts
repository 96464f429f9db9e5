import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metrics } from '../../daemon/api/metrics.ts';
import {
  type ApiServer,
  type ApiServerOptions,
  type HostServices,
  type SocketKind,
  startApiServer,
} from '../../daemon/api/server.ts';
import { DEFAULT_LIMITS, type SiteLimits } from '../../daemon/host/config.ts';
import { createLogger } from '../../daemon/host/log.ts';
import { FakeEngine } from './fake-engine.ts';

export interface Serving {
  engine: FakeEngine;
  server: ApiServer;
  path: string;
  dir: string;
  metrics: Metrics;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ServingOptions {
  socket?: SocketKind;
  limits?: Partial<SiteLimits>;
  patience?: ApiServerOptions['patience'];
  host?: HostServices | ((engine: FakeEngine) => HostServices);
}

/** A server of one kind on a real socket in a temporary directory, in front of a fake engine. */
export async function serve(options: ServingOptions = {}): Promise<Serving> {
  const socket = options.socket ?? 'operator';
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-api-'));
  const path = join(dir, `${socket}.sock`);
  const engine = new FakeEngine();
  const metrics = new Metrics();
  const server = await startApiServer({
    socket,
    listen: { path },
    engine: socket === 'gateway' ? null : engine,
    host: typeof options.host === 'function' ? options.host(engine) : (options.host ?? {}),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    ...(options.patience === undefined ? {} : { patience: options.patience }),
    metrics,
    log: createLogger('test', 'silent', {}),
  });
  return {
    engine,
    server,
    path,
    dir,
    metrics,
    async [Symbol.asyncDispose]() {
      await server.stop(1_000);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
