import { lstatSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { EngineHandle } from '../engine/protocol.ts';
import { anchorHead, anchorName, parseAnchor, parseAnchorName } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { namesIn } from '../host/directory.ts';
import { makeDir, readBounded, syncDir, writeDurable } from '../host/durable-file.ts';
import { type Link, linksFrom, linkText, readChain } from './anchor-links.ts';

export interface AnchorOutboxOptions {
  engine: EngineHandle;
  inbox: string;
  outbox: string;
  /** Most links that wait; the oldest are joined. */
  keep: number;
}

/** Questions of one round; more is not what a sync process asks. */
const MOST_WANTED = 16;
const MAX_FILE = 65_536;

/**
 * Keeps `outbox/anchors` what it should be: a chain without a gap from what headquarters acknowledged to the newest
 * anchor, and answers to whoever needs a proof from another size. Everything there can be made again from the ledger, so a
 * crash between the entry and its file costs nothing. One round at a time.
 */
export class AnchorOutbox {
  readonly #options: AnchorOutboxOptions;
  #directory: string;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: AnchorOutboxOptions) {
    this.#options = options;
    this.#directory = join(options.outbox, 'anchors');
  }

  /** The file in the outbox that carries the tree of this size; null when none does. */
  fileOf(size: number): string | null {
    const name = namesIn(this.#directory).find((one) => parseAnchorName(one)?.size === size);
    return name === undefined ? null : join(this.#directory, name);
  }

  /** Writes what is missing, and drops what is joined or answered long ago. Resolves when it is durable. */
  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      const { engine, keep } = this.#options;
      const { origin, links, acknowledged } = await readChain(engine, keep);
      this.#directory = join(this.#options.outbox, anchorFolder(origin));
      const wanted = linksFrom(links, acknowledged, keep);
      for (const link of wanted) await this.#write(link);
      this.#dropBut(new Set(wanted.map(anchorName)));
    });
  }

  /**
   * Answers `wanted-OLD` in `inbox/anchors`: the proof from that size on goes to the outbox. Returns
   * the sizes that this ledger cannot start from: whoever asked knows another history, or this one was set back.
   */
  answer(): Promise<number[]> {
    return this.#inTurn(async () => {
      const unknown: number[] = [];
      for (const { path, old } of this.#questions()) {
        const text = await this.#leadOn(old);
        if (text === null) unknown.push(old);
        else {
          const { size } = anchorHead(parseAnchor(text));
          this.#put({ old, size }, text);
        }
        rmSync(path, { force: true });
      }
      return unknown;
    });
  }

  /** To the newest link, so that whoever asked is on the chain again; past that, to the newest tree head. */
  async #leadOn(old: number): Promise<string | null> {
    const { engine } = this.#options;
    const [newest] = (await readChain(engine, 1)).links;
    return linkText(engine, newest !== undefined && old < newest.size ? { old, size: newest.size } : { old });
  }

  #questions(): { path: string; old: number }[] {
    const directory = join(this.#options.inbox, 'anchors');
    const names = namesIn(directory).flatMap((name) => {
      const old = /^wanted-(0|[1-9]\d{0,14})$/.exec(name)?.[1];
      return old === undefined ? [] : [{ path: join(directory, name), old: Number(old) }];
    });
    return names.slice(0, MOST_WANTED);
  }

  async #write(link: Link): Promise<void> {
    if (this.#isThere(link)) return;
    const text = await linkText(this.#options.engine, link);
    // A tree head that is no longer kept: the next link spans it when this one is joined.
    if (text !== null) this.#put(link, text);
  }

  /** By what it says, not by its name: a file that somebody broke is made again. */
  #isThere({ old, size }: Link): boolean {
    try {
      const anchor = parseAnchor(readBounded(this.#pathOf({ old, size }), MAX_FILE));
      return anchor.old === old && anchorHead(anchor).size === size;
    } catch (error) {
      if (error instanceof BoundaryError) return false;
      throw error;
    }
  }

  #pathOf(link: Link): string {
    return join(this.#directory, anchorName(link));
  }

  #put(link: Link, text: string): void {
    makeDir(dirname(this.#directory), 0o750);
    makeDir(this.#directory, 0o750);
    writeDurable(this.#pathOf(link), Buffer.from(text, 'utf8'), 0o640);
  }

  /** Links that were joined since, and answers: as many as links are kept, the newest. Other files are not ours. */
  #dropBut(wanted: ReadonlySet<string>): void {
    const others = namesIn(this.#directory)
      .filter((name) => parseAnchorName(name) !== null && !wanted.has(name))
      .flatMap((name) => {
        const stat = lstatSync(join(this.#directory, name), { throwIfNoEntry: false });
        return stat === undefined ? [] : [{ name, at: stat.mtimeMs }];
      })
      .sort((a, b) => b.at - a.at);
    const old = others.slice(this.#options.keep);
    for (const { name } of old) rmSync(join(this.#directory, name), { force: true });
    if (old.length > 0) syncDir(this.#directory);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Resolves when no round is under way. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

/** Where a log's anchors lie in the outbox: one that succeeded another after a restore has sizes of its own. */
export function anchorFolder(origin: string): string {
  const number = /\/ledger\/([1-9]\d{0,5})$/.exec(origin)?.[1];
  return number === undefined ? 'anchors' : join('anchors', number);
}
