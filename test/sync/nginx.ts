import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Certificates } from './certificates.ts';

/** Whether Debian's nginx is installed here. */
export const hasNginx = spawnSync('nginx', ['-v']).status === 0;

/** Headquarters' web server: the repository read-only under /repository/, a shelf for PUT under /shelf/; mutual TLS. */
export class Nginx {
  readonly shelf: string;
  readonly #dir: string;
  port = 0;
  #child: ChildProcess | null = null;

  constructor(dir: string) {
    this.#dir = dir;
    this.shelf = join(dir, 'www/shelf');
    for (const name of ['', 'www', 'www/shelf', 'tmp']) mkdirSync(join(dir, name), { recursive: true });
  }

  get url(): string {
    return `https://localhost:${this.port}/`;
  }

  async start(repository: string, { server, ca }: Certificates): Promise<void> {
    this.port = await freePort();
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    const conf = `
      ${process.geteuid?.() === 0 ? 'user root;' : ''}
      daemon off; master_process off; worker_processes 1; pid ${this.#dir}/nginx.pid; error_log ${this.#dir}/error.log;
      events { worker_connections 64; }
      http {
        access_log ${this.#dir}/access.log;
        ${temporary.map((name) => `${name}_temp_path ${this.#dir}/tmp/${name};`).join('\n')}
        server {
          listen 127.0.0.1:${this.port} ssl;
          ssl_certificate ${server.certificate}; ssl_certificate_key ${server.key}; ssl_protocols TLSv1.2 TLSv1.3;
          ssl_client_certificate ${ca}; ssl_verify_client on;
          location /repository/ { alias ${repository}/; }
          location /moved/ { return 302 https://localhost:${this.port}/repository/; }
          location /shelf/ { root ${this.#dir}/www; dav_methods PUT; create_full_put_path on; client_max_body_size 1m; }
        }
      }`;
    writeFileSync(join(this.#dir, 'nginx.conf'), conf);
    const args = ['-p', this.#dir, '-c', join(this.#dir, 'nginx.conf'), '-e', join(this.#dir, 'error.log')];
    this.#child = spawn('nginx', args, { stdio: 'ignore' });
    await accepting(this.port);
  }

  /** Lines of the access log: what was asked and answered. */
  requests(): string[] {
    return readFileSync(join(this.#dir, 'access.log'), 'utf8').trim().split('\n').filter(Boolean);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    await ended;
  }
}

/** A port of the loopback interface that nobody listens on right now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function accepting(port: number): Promise<void> {
  const { connect } = await import('node:net');
  for (let attempt = 0; attempt < 500; attempt++) {
    const up = await new Promise<boolean>((done) => {
      const probe = connect(port, '127.0.0.1');
      probe.once('connect', () => {
        probe.destroy();
        done(true);
      });
      probe.once('error', () => done(false));
    });
    if (up) return;
    await new Promise((tick) => setTimeout(tick, 20));
  }
  throw new Error(`nothing listens on ${port}`);
}
