import { Agent, type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { BoundaryError } from '../../formats/boundary-error.ts';
import type { HttpCall } from '../../formats/permit.ts';
import { notStarted, type RunResult, STREAM_HARD_LIMIT, StreamCapture, type ToolRun } from './run.ts';

export interface HttpOptions {
  /** Gives up early, as a timeout would (the gateway is stopping). */
  signal?: AbortSignal;
}

/**
 * Sends a resolved `http` call once, to the Unix socket or TCP address that the bundle names. No redirects, no proxy, no
 * kept connections. 2xx is `succeeded`, another complete answer is `failed`. Nothing was sent: `failed`. Sent, but the
 * answer is lost, late or cut off: `unknown`, because the target may have acted. Never throws.
 */
export async function runHttp(call: HttpCall, options: HttpOptions = {}): Promise<ToolRun> {
  if (options.signal?.aborted === true) return notStarted('gateway is stopping');
  const body = call.body === null ? null : Buffer.from(JSON.stringify(call.body));
  let sent: ClientRequest;
  try {
    sent = request(requestOptions(call, body));
  } catch (error) {
    return notStarted(reasonOf(error));
  }
  return new Promise((resolve) => {
    const exchange = new Exchange(sent, call, resolve);
    const stop = () => exchange.abandon('gateway_stopping');
    options.signal?.addEventListener('abort', stop, { once: true });
    sent.once('close', () => options.signal?.removeEventListener('abort', stop));
    sent.end(body ?? undefined);
  });
}

class Exchange {
  #request: ClientRequest;
  #resolve: (run: ToolRun) => void;
  #started = performance.now();
  #capture: StreamCapture;
  /** From here on the target may have received the request. */
  #connected = false;
  #status: number | null = null;
  #timer: NodeJS.Timeout;
  #done = false;

  constructor(sent: ClientRequest, call: HttpCall, resolve: (run: ToolRun) => void) {
    this.#request = sent;
    this.#resolve = resolve;
    this.#capture = new StreamCapture(call.output_limit_bytes);
    this.#timer = setTimeout(() => this.abandon('timeout'), call.timeout_ms);
    sent.once('socket', (socket) => {
      if (!socket.connecting) this.#connected = true;
      socket.once('connect', () => {
        this.#connected = true;
      });
    });
    sent.once('error', (error) => this.abandon(reasonOf(error)));
    // Without a listener Node would wait for ever on a target that switches protocols.
    sent.once('upgrade', () => this.abandon('protocol_upgrade'));
    sent.once('response', (response) => this.#read(response));
  }

  #read(response: IncomingMessage): void {
    this.#status = response.statusCode ?? null;
    response.on('data', (chunk: Uint8Array) => {
      this.#capture.push(chunk);
      if (this.#capture.bytes > STREAM_HARD_LIMIT) this.#finish(this.#byStatus(), 'output_limit');
    });
    response.once('end', () =>
      response.complete ? this.#finish(this.#byStatus()) : this.abandon('answer_cut_off'),
    );
    response.once('error', () => this.abandon('answer_cut_off'));
    response.once('aborted', () => this.abandon('answer_cut_off'));
  }

  #byStatus(): RunResult {
    return this.#status !== null && this.#status >= 200 && this.#status < 300 ? 'succeeded' : 'failed';
  }

  /** The exchange ended without a complete answer. */
  abandon(reason: string): void {
    if (this.#connected) this.#finish('unknown', reason);
    else this.#settle(notStarted(reason));
  }

  #finish(result: RunResult, reason?: string): void {
    this.#settle({
      result,
      detail: {
        ...(this.#status === null ? {} : { http_status: this.#status }),
        ...(reason === undefined ? {} : { reason }),
        duration_ms: Math.round(performance.now() - this.#started),
        stdout_digest: this.#capture.digest(),
        stdout_bytes: this.#capture.bytes,
      },
      output: { stdout: this.#capture.kept(), stderr: new Uint8Array(), truncated: this.#capture.truncated },
    });
  }

  #settle(run: ToolRun): void {
    if (this.#done) return;
    this.#done = true;
    clearTimeout(this.#timer);
    this.#request.on('error', () => {});
    this.#request.destroy();
    this.#resolve(run);
  }
}

function requestOptions(call: HttpCall, body: Buffer | null): RequestOptions {
  const headers: Record<string, string | number> = {
    accept: '*/*',
    'user-agent': 'holdfast',
    connection: 'close',
  };
  if (body !== null) {
    headers['content-type'] = 'application/json';
    headers['content-length'] = body.length;
  }
  const common = { method: call.method, path: call.path, headers, agent: new Agent({ keepAlive: false }) };
  const unix = /^unix:(\/.+)$/.exec(call.address)?.[1];
  if (unix !== undefined) return { ...common, socketPath: unix, headers: { ...headers, host: 'localhost' } };
  const [, host, port] = /^tcp:(.+):(\d{1,5})$/.exec(call.address) ?? [];
  if (host === undefined || port === undefined || Number(port) > 65_535) {
    throw new BoundaryError('call.address', 'address is neither unix:/PATH nor tcp:HOST:PORT');
  }
  return { ...common, host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

/** System error codes only: a message could repeat the request. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'request_failed';
}
