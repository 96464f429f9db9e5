import type { ReadStream, WriteStream } from 'node:tty';

/** What a key asks for. */
export type Key = 'end' | 'redraw';

/** Sizes of a serial line that does not tell its own. */
const DEFAULT = { columns: 80, rows: 24 };

/**
 * A terminal that shows one screen and keeps it up to date. Only lines that changed are written, all in one write, so that
 * nothing flickers and a slow serial line keeps up. Needs no more than a VT100: cursor movement and clearing.
 */
export class Screen {
  readonly #out: WriteStream;
  readonly #in: ReadStream | null;
  #shown: string[] | null = null;
  #onData: ((bytes: Buffer) => void) | null = null;

  constructor(out: WriteStream, input: ReadStream | null) {
    this.#out = out;
    this.#in = input;
  }

  get size(): { columns: number; rows: number } {
    const { columns, rows } = this.#out;
    return { columns: columns > 0 ? columns : DEFAULT.columns, rows: rows > 0 ? rows : DEFAULT.rows };
  }

  /** Takes the terminal over. `onKey` hears of keys, which the terminal no longer shows. */
  enter(onKey: (key: Key) => void): void {
    this.#out.write(ENTER);
    if (this.#in === null) return;
    this.#onData = (bytes) => {
      for (const byte of bytes) {
        if (END_KEYS.includes(byte)) onKey('end');
        else if (byte === REDRAW_KEY) onKey('redraw');
      }
    };
    this.#in.setRawMode(true);
    this.#in.on('data', this.#onData);
  }

  /** Forgets what is shown, so that the next drawing writes every line. */
  invalidate(): void {
    this.#shown = null;
  }

  /** Shows these lines, and nothing else. They fit: no line is wider than the terminal, and there are no more than rows. */
  draw(lines: readonly string[]): void {
    const before = this.#shown;
    const changes = lines.flatMap((line, row) =>
      before?.[row] === line ? [] : [`${at(row)}${line}${CLEAR_LINE}`],
    );
    const shorter = before !== null && lines.length < before.length;
    if (shorter) changes.push(`${at(lines.length)}${CLEAR_BELOW}`);
    this.#shown = [...lines];
    if (changes.length > 0) this.#out.write((before === null ? CLEAR_ALL : '') + changes.join(''));
  }

  /** Gives the terminal back as it was. */
  leave(): void {
    if (this.#in !== null && this.#onData !== null) {
      this.#in.off('data', this.#onData);
      this.#in.setRawMode(false);
      this.#in.pause();
    }
    this.#out.write(LEAVE);
  }
}

/** The alternate screen, cursor hidden and no wrapping; terminals that lack one of them pass over it. */
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l';
const CLEAR_ALL = '\u001b[H\u001b[2J';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
/** Ctrl-C, Ctrl-D, q and Q. */
const END_KEYS: readonly number[] = [3, 4, 0x71, 0x51];
/** Ctrl-L, for lines that garbled something. */
const REDRAW_KEY = 12;

function at(row: number): string {
  return `\u001b[${row + 1};1H`;
}
