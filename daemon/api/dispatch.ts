import {
  type EngineHandle,
  type EngineMethod,
  type EngineReply,
  type Peer,
  type Problem,
  textOf,
} from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Json } from '../formats/json.ts';
import type { Caller } from '../identity/callers.ts';
import { durationMs } from './duration.ts';
import { type HostMethod, type Method, methodsOf, type OwnMethod, type SocketKind } from './methods.ts';
import { problem, problemOfBoundary, problemReply } from './problem.ts';
import { type Check, compileCheck, tokenOf } from './validate.ts';
import { PENDING_STATUS, type Waits } from './waits.ts';

/** An answer on its way out. `mediaType` only where the table does not settle it. */
export interface Answer extends EngineReply {
  mediaType?: string;
}

/** What a caller sent for one method, not yet checked against the table. */
export interface MethodRequest {
  path: Record<string, unknown>;
  query: Record<string, unknown>;
  /** The strictly parsed body and its exact text. */
  body: { value: Json; text: string } | null;
  /** `Idempotency-Key`. */
  key: string | null;
  /** Who asks. */
  caller: Caller;
  /** Aborts when the caller is gone. Made only when somebody listens. */
  gone: () => AbortSignal;
}

/** A checked call, as the process around the server gets it. */
export interface HostCall {
  args: Record<string, string>;
  body: Json;
  key: string | null;
  socket: SocketKind;
  peer: Peer;
  /** The principal that the caller is known as; null for one whom the policy does not know. */
  principal: string | null;
  /** Aborts when the caller is gone. */
  gone: () => AbortSignal;
}

/**
 * Whether a peer may call a method that the engine does not answer itself, in the name of an actor if one is given. 200
 * with `{principal}`, or the problem.
 */
export type Admit = (peer: Peer, method: string, actor: string | null) => Promise<EngineReply>;

export type HostHandler = (call: HostCall) => Promise<Answer>;
/** What the process around the server answers. A method of the table without a handler is answered with 503. */
export type HostServices = Partial<Record<HostMethod, HostHandler>>;
export type OwnServices = Record<OwnMethod, () => Promise<Answer>>;

/** A row of the table with its checks compiled. */
export interface BoundMethod {
  readonly row: Method;
  readonly pathNames: readonly string[];
  readonly queryNames: readonly string[];
  readonly checkPath: Check | null;
  readonly checkQuery: Check | null;
  readonly checkBody: Check | null;
}

export interface DispatcherOptions {
  socket: SocketKind;
  engine: EngineHandle | null;
  waits: Waits | null;
  host: HostServices;
  own: OwnServices;
  /** Null: whoever is connected may call everything that the socket offers. */
  admit: Admit | null;
  /** Told of failures of ours; never of a refusal. */
  failed: (error: unknown, method: string) => void;
}

/** Answered whoever asks, and without asking who it is: they tell nothing. */
const FOR_ANYONE: ReadonlySet<HostMethod | OwnMethod> = new Set(['health.get', 'ready.get', 'openapi.get']);

const KEY = /^[\x21-\x7e]{1,200}$/;

/** From a call in the table's terms to its answer, the same for HTTP and the stream. */
export class Dispatcher {
  readonly methods: ReadonlyMap<string, BoundMethod>;
  readonly #options: DispatcherOptions;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.methods = new Map(methodsOf(options.socket).map((row) => [row.name, bind(row)]));
  }

  /** Checks the call and has it answered. Never rejects: what fails is answered with a problem and logged. */
  call(method: BoundMethod, request: MethodRequest): Promise<Answer> {
    try {
      const refusal = request.caller.refusal();
      if (refusal !== null)
        return Promise.resolve(
          problemReply(problem('peer.certificate_refused', `${refusal} Nothing was done.`)),
        );
      const args = checkedArgs(method, request);
      checkBody(method, request);
      return this.#answer(method, args, request).catch((error: unknown) => this.#refusal(method, error));
    } catch (error) {
      return Promise.resolve(this.#refusal(method, error));
    }
  }

  #answer(method: BoundMethod, args: Record<string, string>, request: MethodRequest): Promise<Answer> {
    const { row } = method;
    if (row.kind === 'own') return this.#own(row.name, request);
    if (row.kind === 'host') return this.#host(row.name, args, request);
    if (row.kind === 'stream') throw new Error(`${row.name} reached the dispatcher`);
    const { wait, ...others } = args;
    if (wait === undefined) return this.#engine(row.name, args, request);
    return this.#untilDecided(row.name, others, request, durationMs(wait));
  }

  #engine(name: EngineMethod, args: Record<string, string>, request: MethodRequest): Promise<Answer> {
    const { engine } = this.#options;
    if (engine === null) throw new Error(`${name} needs an engine`);
    const body = request.body === null ? null : request.body.text;
    return engine
      .call({ method: name, args, body, key: request.key, peer: request.caller.peer })
      .catch((error: unknown) => {
        this.#options.failed(error, name);
        return problemReply(
          problem(
            'unavailable',
            'the engine does not answer; whether anything was recorded is not known, ask again later',
          ),
        );
      });
  }

  async #untilDecided(
    name: EngineMethod,
    args: Record<string, string>,
    request: MethodRequest,
    waitMs: number,
  ): Promise<Answer> {
    const first = await this.#engine(name, args, request);
    if (first.status !== PENDING_STATUS || this.#options.waits === null) return first;
    const { decision_id: id } = JSON.parse(textOf(first)) as { decision_id: string };
    const nothing: MethodRequest = { ...request, body: null, key: null };
    return this.#options.waits.untilDecided(id, () => this.#engine('decisions.get', { id }, nothing), {
      waitMs,
      signal: request.gone(),
    });
  }

  async #host(name: HostMethod, args: Record<string, string>, request: MethodRequest): Promise<Answer> {
    const handler = this.#options.host[name];
    if (handler === undefined) {
      return problemReply(
        problem('unavailable', `${name} is not available in this process; nothing was done`),
      );
    }
    const { key, gone, caller } = request;
    const body = request.body?.value ?? null;
    const admitted = await this.#admit(name, caller.peer, actorIn(name, body));
    if ('status' in admitted) return admitted;
    const { principal } = admitted;
    return handler({ args, body, key, socket: this.#options.socket, peer: caller.peer, principal, gone });
  }

  async #own(name: OwnMethod, { caller }: MethodRequest): Promise<Answer> {
    const admitted = await this.#admit(name, caller.peer, null);
    return 'status' in admitted ? admitted : this.#options.own[name]();
  }

  /** The principal that asks, or the answer that says no. Liveness is nobody's secret. */
  async #admit(
    name: HostMethod | OwnMethod,
    peer: Peer,
    actor: string | null,
  ): Promise<{ principal: string | null } | Answer> {
    const { admit } = this.#options;
    if (admit === null || FOR_ANYONE.has(name)) return { principal: null };
    const answer = await admit(peer, name, actor);
    return answer.status === 200 ? (JSON.parse(textOf(answer)) as { principal: string | null }) : answer;
  }

  #refusal(method: BoundMethod, error: unknown): Answer {
    if (error instanceof BoundaryError) return problemReply(problemOfBoundary(error));
    this.#options.failed(error, method.row.name);
    return problemReply(internalProblem());
  }
}

/** What is said about a bug of ours: nothing that could leak, and never a pass. */
export function internalProblem(): Problem {
  return problem('internal', 'this failed for a reason of our own, which was logged; take it as a no');
}

/** Media type and bytes (or text) of an answer for a method, as HTTP sends them. */
export function payloadOf(
  method: BoundMethod,
  answer: Answer,
): { mediaType: string; payload: string | Buffer } {
  if (answer.status >= 400) return { mediaType: 'application/problem+json', payload: answer.body };
  const payload = answer.body;
  if (answer.mediaType !== undefined) return { mediaType: answer.mediaType, payload };
  const { reply } = method.row;
  if (reply === 'text') return { mediaType: 'text/plain; charset=utf-8', payload };
  if (reply === 'bytes') return { mediaType: 'application/octet-stream', payload };
  return { mediaType: 'application/json', payload };
}

/** An answer as the JSON of a stream frame's `result`: texts as strings, bytes as base64. */
export function resultOf(method: BoundMethod, answer: Answer): string | Buffer {
  const { reply } = method.row;
  if (reply === 'text') return JSON.stringify(textOf(answer));
  if (reply === 'bytes') return JSON.stringify(Buffer.from(answer.body).toString('base64'));
  return answer.body;
}

function bind(row: Method): BoundMethod {
  return {
    row,
    pathNames: Object.keys(row.path?.properties ?? {}),
    queryNames: Object.keys(row.query?.properties ?? {}),
    checkPath: row.path === undefined ? null : compileCheck(row.path, 'path'),
    checkQuery: row.query === undefined ? null : compileCheck(row.query, 'query'),
    checkBody: row.body === undefined ? null : compileCheck(row.body),
  };
}

/** In whose name a method of the host is called, where its body says so. */
function actorIn(name: HostMethod, body: Json): string | null {
  const { actor, context } = (body ?? {}) as { actor?: unknown; context?: { actor?: { id?: unknown } } };
  const named = name === 'actions.execute' ? context?.actor?.id : actor;
  return name !== 'peers.identify' && typeof named === 'string' ? named : null;
}

const NO_ARGS: Record<string, string> = {};

function checkedArgs(method: BoundMethod, request: MethodRequest): Record<string, string> {
  checkParameters(method.checkPath, request.path, 'path');
  checkParameters(method.checkQuery, request.query, 'query');
  if (request.key !== null) checkKey(method, request.key);
  if (method.pathNames.length === 0 && isEmpty(request.query)) return NO_ARGS;
  const args = { ...request.path, ...request.query } as Record<string, string>;
  return method.row.args === undefined ? args : method.row.args(args);
}

function checkParameters(check: Check | null, values: Record<string, unknown>, where: string): void {
  if (check !== null) check(values);
  else if (!isEmpty(values)) {
    const name = Object.keys(values)[0] ?? '';
    const at = `${where}/${tokenOf(name)}`;
    throw new BoundaryError('request.invalid', `${at} is not known here; nothing was done`, { at });
  }
}

function isEmpty(values: Record<string, unknown>): boolean {
  for (const _ in values) return false;
  return true;
}

function checkKey(method: BoundMethod, key: string): void {
  const at = 'header/idempotency-key';
  if (method.row.keyed !== true) {
    throw new BoundaryError(
      'request.invalid',
      `${at} has no meaning for ${method.row.name}; nothing was done`,
      { at },
    );
  }
  if (!KEY.test(key)) {
    throw new BoundaryError(
      'request.invalid',
      `${at} must be 1 to 200 visible ASCII characters; nothing was done`,
      { at },
    );
  }
}

function checkBody(method: BoundMethod, request: MethodRequest): void {
  if (method.checkBody === null) {
    if (request.body === null) return;
    throw new BoundaryError('request.invalid', `${method.row.name} takes no body; nothing was done`);
  }
  if (request.body === null) {
    throw new BoundaryError('request.invalid', `${method.row.name} needs a JSON body; nothing was done`);
  }
  method.checkBody(request.body.value);
}
