import type { EngineCall, EngineEvent, EngineHandle, EngineReply } from '../../daemon/engine/protocol.ts';

/** What the fake answers to a call; undefined lets the built-in answer stand. */
export type Script = (call: EngineCall) => EngineReply | Promise<EngineReply> | undefined;

/**
 * An engine without rules or ledger: records what it is asked, answers from a script or with something plausible, and
 * tells its listeners what the test says. Everything that reached it is in `calls`.
 */
export class FakeEngine implements EngineHandle {
  readonly calls: EngineCall[] = [];
  readonly entries: { index: number; entry: { type: string; stream: string; data: object } }[] = [];
  script: Script = () => undefined;
  readonly #listeners = new Set<(events: EngineEvent[]) => void>();
  #next = 0;

  async call(call: EngineCall): Promise<EngineReply> {
    this.calls.push(call);
    return (await this.script(call)) ?? this.#answer(call);
  }

  onEvents(listener: (events: EngineEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  /** Methods that reached the engine, in order. */
  get methods(): string[] {
    return this.calls.map((call) => call.method);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Appends an entry and announces it, as a commit would. */
  commit(stream: string, type = 'decision.authorized', status: string | null = 'authorized'): void {
    const index = this.entries.length;
    this.entries.push({ index, entry: { type, stream, data: {} } });
    for (const listener of this.#listeners) listener([{ index, stream, type, status }]);
  }

  #answer(call: EngineCall): EngineReply {
    switch (call.method) {
      case 'decisions.create':
        this.#next += 1;
        return json(200, {
          decision_id: decisionId(this.#next),
          status: 'denied',
          enforcement: { result: 'deny' },
        });
      case 'status.get':
        return json(200, { ready: true, site: 'test.example', degraded: [] });
      case 'ledger.entries': {
        const from = Number(call.args.from ?? 0);
        const entries = this.entries.slice(from, from + Number(call.args.limit ?? 64));
        return json(200, { size: this.entries.length, entries });
      }
      case 'ledger.checkpoint':
      case 'ledger.proof':
        return { status: 200, body: `${call.method}\n` };
      case 'ledger.tile':
        return { status: 200, body: Buffer.from([0, 1, 255]) };
      default:
        return json(200, { method: call.method, args: call.args });
    }
  }
}

/** A well-formed decision id that ends in `n`. */
export function decisionId(n: number): string {
  return `dec_0192f0a0-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

export function permitId(n: number): string {
  return decisionId(n).replace('dec_', 'prm_');
}

export function json(status: number, body: object): EngineReply {
  return { status, body: JSON.stringify(body) };
}
