import { type IncomingMessage, request as plainRequest } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import type { Duplex } from 'node:stream';
import { createSecureContext, connect as tlsConnect } from 'node:tls';
import { BoundaryError } from '../daemon/formats/boundary-error.ts';
import { errorCode } from '../daemon/host/durable-file.ts';

export interface LinkOptions {
  /** Names of hosts that may be spoken to. */
  hosts: readonly string[];
  /** PEM: who we are, and the only authority that may have certified the other side. */
  certificate: Uint8Array;
  key: Uint8Array;
  ca: Uint8Array;
  /** `http://HOST:PORT`, or null. */
  proxy: string | null;
}

export interface Ask {
  method: 'GET' | 'PUT' | 'POST';
  url: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
  /** Ends the exchange wherever it stands, the answer's body included. */
  signal: AbortSignal;
}

/** How long a proxy may take to open the tunnel, in ms. */
const TUNNEL_MS = 30_000;

/**
 * HTTPS to hosts on the list and to no others: mutual TLS 1.2 or newer, one pinned authority instead of the system's, no
 * redirects, one connection at a time. An answer's body is not read here; whoever asked reads or destroys it.
 */
export class Link {
  readonly #hosts: readonly string[];
  readonly #agent: Agent;

  /** Throws BoundaryError `sync.bad_credentials`. */
  constructor({ hosts, certificate, key, ca, proxy }: LinkOptions) {
    this.#hosts = hosts;
    const options = {
      cert: Buffer.from(certificate),
      key: Buffer.from(key),
      ca: Buffer.from(ca),
      minVersion: 'TLSv1.2' as const,
      // Said outright, because an environment variable could switch off what is only a default.
      rejectUnauthorized: true,
      keepAlive: true,
      maxSockets: 1,
    };
    try {
      createSecureContext(options);
    } catch (cause) {
      // OpenSSL's words may quote what it read; its code does not.
      throw new BoundaryError(
        'sync.bad_credentials',
        `sync.certificate, sync.key and sync.ca do not fit together (${errorCode(cause) ?? 'unknown cause'}); nothing was sent. Each is a PEM file, and the key belongs to the certificate.`,
      );
    }
    this.#agent = proxy === null ? new Agent(options) : new TunnelAgent(options, new URL(proxy));
  }

  /**
   * Resolves with the answer once its head is there. Throws BoundaryError `sync.host_not_allowed` before anything is
   * sent; `sync.redirected`, `sync.encoded`, `sync.tls`, `sync.proxy`, `sync.unreachable`, `sync.too_slow`.
   */
  async ask({ method, url, headers = {}, body, signal }: Ask): Promise<IncomingMessage> {
    const target = new URL(url);
    if (target.protocol !== 'https:' || !this.#hosts.includes(target.hostname))
      throw new BoundaryError(
        'sync.host_not_allowed',
        `${target.host} is not a host that this site may speak to over https; nothing was sent. Add it to sync.hosts if it should be.`,
        { at: target.host },
      );
    const answer = await this.#exchange(
      target,
      { method, headers: sentHeaders(headers, body), signal },
      body,
    );
    const status = answer.statusCode ?? 0;
    if (status >= 300 && status < 400) {
      answer.destroy();
      throw new BoundaryError(
        'sync.redirected',
        `${target.href} answers with a redirect (${status}), which is never followed. Put the final URL into holdfast.json if it is trusted.`,
        { at: target.href },
      );
    }
    if ((answer.headers['content-encoding'] ?? 'identity') !== 'identity') {
      answer.destroy();
      throw new BoundaryError(
        'sync.encoded',
        `${target.href} is compressed on the way although that was not asked for; nothing was taken. Switch it off at the server.`,
        { at: target.href },
      );
    }
    return answer;
  }

  close(): void {
    this.#agent.destroy();
  }

  #exchange(target: URL, options: RequestOptions, body: Uint8Array | undefined): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const asked = request(target, { ...options, agent: this.#agent }, resolve);
      asked.once('error', (error) => reject(linkFailure(error, target.href, options.signal)));
      asked.end(body);
    });
  }
}

function sentHeaders(headers: Record<string, string>, body: Uint8Array | undefined): Record<string, string> {
  const length = body === undefined ? {} : { 'content-length': String(body.length) };
  return { 'accept-encoding': 'identity', 'user-agent': 'holdfast-sync', ...length, ...headers };
}

/** Any failure of an exchange with `url`, in words and under a code. */
export function linkFailure(error: unknown, url: string, signal: AbortSignal | undefined): BoundaryError {
  if (error instanceof BoundaryError) return error;
  const at = { at: url, cause: error };
  if (signal?.aborted === true) {
    const stopped = !(signal.reason instanceof Error && signal.reason.name === 'TimeoutError');
    return stopped
      ? new BoundaryError('sync.stopped', `Stopped while ${url} was under way; what came is kept.`, at)
      : new BoundaryError(
          'sync.too_slow',
          `${url} took longer than sync.limits allow; what came is kept and the next round goes on there.`,
          at,
        );
  }
  const code = errorCode(error) ?? 'unknown cause';
  if (/CERT|SSL|TLS|SIGNATURE|CRL|EPROTO/.test(code)) {
    const clock = /NOT_YET_VALID|HAS_EXPIRED|EXPIRED/.test(code) ? " Check this machine's clock first." : '';
    return new BoundaryError(
      'sync.tls',
      `The TLS handshake for ${url} failed (${code}); nothing was exchanged.${clock} Check sync.ca, sync.certificate and sync.key on this side, and the server's certificate.`,
      at,
    );
  }
  return new BoundaryError(
    'sync.unreachable',
    `${url} could not be reached, or the connection broke (${code}). What is already here stays; it is tried again later.`,
    at,
  );
}

/** Opens each connection through a proxy: CONNECT, then TLS with the far side, so that the proxy sees only names and sizes. */
class TunnelAgent extends Agent {
  readonly #proxy: URL;

  constructor(options: ConstructorParameters<typeof Agent>[0], proxy: URL) {
    super(options);
    this.#proxy = proxy;
  }

  override createConnection(
    options: RequestOptions & { servername?: string },
    done?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    // Node's own callback takes the error alone; its declared type wants a stream always.
    const fail = (error: Error): void => (done as ((error: Error) => void) | undefined)?.(error);
    const { host, port, servername } = options;
    const authority = `${host}:${port ?? 443}`;
    const asked = plainRequest({
      host: this.#proxy.hostname,
      port: this.#proxy.port === '' ? 80 : this.#proxy.port,
      method: 'CONNECT',
      path: authority,
      headers: { host: authority },
      agent: false,
      timeout: TUNNEL_MS,
    });
    asked.once('timeout', () => asked.destroy(new Error('the proxy is too slow')));
    asked.once('error', (cause) =>
      fail(noTunnel(`cannot be used (${errorCode(cause) ?? cause.message})`, cause)),
    );
    // A proxy that answers CONNECT as if it were any request has opened nothing.
    asked.once('response', (answer) => {
      answer.destroy();
      fail(noTunnel(`refused with ${answer.statusCode}`));
    });
    asked.once('connect', (answer, socket, early) => {
      if (answer.statusCode !== 200 || early.length > 0) {
        socket.destroy();
        fail(noTunnel(`refused with ${answer.statusCode}`));
        return;
      }
      socket.setTimeout(0);
      const { cert, key, ca, minVersion, rejectUnauthorized } = this.options as RequestOptions;
      const name = servername ?? host ?? '';
      const secure = tlsConnect({
        socket,
        host: name,
        ...(servername === undefined || servername === '' ? {} : { servername }),
        ...({ cert, key, ca, minVersion, rejectUnauthorized } as object),
      });
      done?.(null, secure);
    });
    asked.end();
    return undefined;
  }
}

function noTunnel(what: string, cause?: unknown): BoundaryError {
  return new BoundaryError(
    'sync.proxy',
    `The proxy ${what}; nothing was exchanged with the other side. Check sync.proxy.`,
    { cause },
  );
}
