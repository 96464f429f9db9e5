import { completeReply } from './complete.ts';
import { composeEngine } from './compose.ts';
import { Engine } from './engine.ts';
import type { EngineCall, EngineEvent, EngineHandle, EngineReply } from './protocol.ts';

/**
 * The engine in the caller's own thread, for commands that work on a site whose daemon is not running (`init`,
 * `import`). Same engine, same files; each call is its own batch.
 */
export class InlineEngine implements EngineHandle {
  readonly #engine: Engine;
  readonly #listeners = new Set<(events: EngineEvent[]) => void>();
  #stopped = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  call(call: EngineCall): Promise<EngineReply> {
    // Its files are closed: it would take that for a failure and open them again, beside whoever has them by now.
    if (this.#stopped) return Promise.reject(new Error('engine: it was stopped'));
    const { replies, events } = this.#engine.process([call]);
    if (events.length > 0) for (const listener of this.#listeners) listener(events);
    const [reply] = replies;
    return reply === undefined
      ? Promise.reject(new Error('engine: no reply'))
      : Promise.resolve(completeReply(reply));
  }

  onEvents(listener: (events: EngineEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(reason: string): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    this.#stopped = true;
    this.#engine.stop(reason);
    return Promise.resolve();
  }
}

/** Opens a site's engine in this process. Throws `BoundaryError` when the site or its ledger cannot be opened. */
export async function openInlineEngine(dir: string): Promise<EngineHandle> {
  return new InlineEngine(new Engine(composeEngine({ dir })));
}
