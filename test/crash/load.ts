import WebSocket from 'ws';
import { type ApiClient, ApiProblem, ApiUnreachable, type DecisionReply } from '../../daemon/api/client.ts';
import { entryHash } from '../../daemon/formats/entry.ts';
import { parseProof } from '../../daemon/formats/tlog-proof.ts';
import { ask, type World } from '../world.ts';
import { Random } from './random.ts';

/** An entry that somebody was told of: from then on it must be there for ever. */
export interface Acknowledged {
  what: 'decision' | 'redemption' | 'outcome';
  stream: string;
  index: number;
  /** Hex SHA-256 of the entry's bytes. */
  hash: string;
  proof: string;
}

/** A question under a key that got no answer: whoever asked may ask again. */
export interface Unanswered {
  key: string;
  body: ReturnType<typeof ask>;
}

const CLASSES = ['mark', 'mark', 'mark', 'forbidden_mark', 'careful_mark'];
const WINDOW = 32;

/**
 * Clients of a site that keep asking until the daemon is gone: some over HTTP, who redeem and report half of what they
 * are allowed, one over a stream, and some who have the gateway act. Remembers what each was told.
 */
export class Load {
  readonly acknowledged: Acknowledged[] = [];
  readonly unanswered: Unanswered[] = [];
  /** Permits whose redemption was acknowledged, with what they were redeemed for. */
  readonly redeemed: { id: string; digest: string }[] = [];
  /** Marks of actions that the gateway reported as done. */
  readonly acted: string[] = [];
  /** Answers that no client here should ever get. */
  readonly unexpected: string[] = [];
  readonly #world: World;
  readonly #random: Random;
  readonly #name: string;
  readonly #working: Promise<void>[] = [];
  #over = false;
  #count = 0;

  constructor(world: World, seed: number) {
    this.#world = world;
    this.#random = new Random(seed);
    this.#name = `s${seed.toString(36)}`;
  }

  start(clients: { http: number; stream: number; gateway: number }): void {
    for (let n = 0; n < clients.http; n++) this.#working.push(this.#asker());
    for (let n = 0; n < clients.stream; n++) this.#working.push(this.#streamer());
    for (let n = 0; n < clients.gateway; n++) this.#working.push(this.#actor());
  }

  /** Lets every client come to its end while the daemon runs. */
  stop(): void {
    this.#over = true;
  }

  /** Resolves when every client has noticed that nobody answers any more, or that it is to stop. */
  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#working);
  }

  #nextMark(): string {
    return `${this.#name}-${this.#count++}`;
  }

  async #asker(): Promise<void> {
    const client = this.#world.newClient('request');
    const redeemer = this.#world.newClient('redeem');
    while (!this.#over) {
      const key = this.#nextMark();
      const body = ask(this.#random.pick(CLASSES), key);
      try {
        const decision = await client.createDecision(body, { idempotencyKey: key });
        this.decided(decision);
        if (decision.permit !== undefined && this.#random.next() < 0.5) await this.#use(redeemer, decision);
      } catch (error) {
        if (this.#gone(error)) this.unanswered.push({ key, body });
      }
    }
    client.close();
    redeemer.close();
  }

  async #use(client: ApiClient, { permit, action_digest }: DecisionReply): Promise<void> {
    if (permit === undefined) return;
    const audience = 'gateway';
    try {
      const redeemed = await client.redeem(permit.id, { audience, action_digest });
      this.redeemed.push({ id: permit.id, digest: action_digest });
      this.#acknowledge('redemption', redeemed.decision_id, redeemed.proof);
      const reported = await client.outcome(permit.id, { audience, result: 'succeeded', detail: {} });
      this.#acknowledge('outcome', redeemed.decision_id, reported.ledger.proof ?? '');
    } catch (error) {
      this.#gone(error);
    }
  }

  #streamer(): Promise<void> {
    const ws = new WebSocket(`ws+unix:${this.#world.socket('request')}:/v1/stream`, {
      perMessageDeflate: false,
    });
    const send = (): void => {
      const id = this.#nextMark();
      ws.send(
        JSON.stringify({ id, method: 'decisions.create', params: ask(this.#random.pick(CLASSES), id) }),
      );
    };
    ws.on('open', () => {
      for (let n = 0; n < WINDOW; n++) send();
    });
    ws.on('message', (data) => {
      const { result, problem } = JSON.parse(String(data)) as { result?: DecisionReply; problem?: object };
      if (result === undefined) this.unexpected.push(JSON.stringify(problem));
      else this.decided(result);
      if (this.#over) ws.terminate();
      else send();
    });
    ws.on('error', () => {});
    return new Promise((resolve) => ws.once('close', () => resolve()));
  }

  async #actor(): Promise<void> {
    const client = this.#world.newClient('gateway');
    while (!this.#over) {
      const mark = this.#nextMark();
      try {
        const done = (await client.action(ask('mark', mark))) as { outcome?: { result?: string } };
        if (done.outcome?.result === 'succeeded') this.acted.push(mark);
        else this.unexpected.push(JSON.stringify(done));
      } catch (error) {
        // The gateway says that the engine does not answer: that is what is to be expected.
        if (!(error instanceof ApiProblem && [502, 503].includes(error.status))) this.#gone(error);
      }
    }
    client.close();
  }

  /** Remembers a decision that somebody was given. */
  decided(decision: DecisionReply): void {
    const proof = decision.permit?.proof ?? decision.ledger.proof ?? '';
    this.#acknowledge('decision', decision.decision_id, proof);
  }

  #acknowledge(what: Acknowledged['what'], stream: string, proof: string): void {
    const { index, extra } = parseProof(proof);
    this.acknowledged.push({ what, stream, index, hash: entryHash(extra ?? new Uint8Array()), proof });
  }

  /** Whether the daemon was gone; anything else that is thrown was not to be expected. */
  #gone(error: unknown): boolean {
    if (!(error instanceof ApiUnreachable)) this.unexpected.push(String(error));
    return error instanceof ApiUnreachable;
  }
}
