/**
 * What a VT100 of this size shows after all that was written to it. Knows the few sequences that a plain terminal is sure to
 * know, and throws at every other one; private modes and styles change no text.
 */
export class VirtualTerminal {
  readonly #rows: string[];
  readonly #columns: number;
  #row = 0;
  #column = 0;
  #rest = '';
  /** Modes that are on, such as `?1049`. */
  readonly modes = new Set<string>(['?7', '?25']);

  constructor(rows: number, columns: number) {
    this.#rows = Array.from({ length: rows }, () => '');
    this.#columns = columns;
  }

  get lines(): string[] {
    return this.#rows.map((line) => line.trimEnd());
  }

  get text(): string {
    return this.lines.join('\n');
  }

  write(text: string): void {
    let rest = this.#rest + text;
    while (rest !== '') {
      const sequence = /^\u001b\[(\??)([\d;]*)([A-Za-z])/.exec(rest);
      if (sequence !== null) {
        this.#obey(sequence[1] ?? '', sequence[2] ?? '', sequence[3] ?? '');
        rest = rest.slice(sequence[0].length);
      } else if (rest.startsWith('\u001b')) {
        if (/^\u001b(\[[?\d;]*)?$/.test(rest)) break;
        throw new Error(`unknown sequence ${JSON.stringify(rest.slice(0, 12))}`);
      } else {
        const printed = /^[^\u001b]+/.exec(rest)?.[0] ?? '';
        this.#print(printed);
        rest = rest.slice(printed.length);
      }
    }
    this.#rest = rest;
  }

  #obey(secret: string, numbers: string, letter: string): void {
    const [first = 1, second = 1] = numbers === '' ? [] : numbers.split(';').map(Number);
    if (secret === '?' && letter === 'h') this.modes.add(`?${numbers}`);
    else if (secret === '?' && letter === 'l') this.modes.delete(`?${numbers}`);
    else if (letter === 'H') {
      this.#row = Math.min(first, this.#rows.length) - 1;
      this.#column = second - 1;
    } else if (letter === 'K') this.#set(this.#line().slice(0, this.#column));
    else if (letter === 'J') {
      const from = numbers === '2' ? 0 : this.#row;
      for (let row = from; row < this.#rows.length; row += 1) this.#rows[row] = '';
    } else if (letter !== 'm') throw new Error(`unknown sequence ${secret}${numbers}${letter}`);
  }

  /** Without wrapping, what is too long overwrites the last column, as terminals do. */
  #print(text: string): void {
    if (/[^\P{Cc}]/u.test(text)) throw new Error(`control character in ${JSON.stringify(text)}`);
    for (const char of text) {
      const line = this.#line().padEnd(this.#column);
      this.#set(line.slice(0, this.#column) + char + line.slice(this.#column + 1));
      if (this.#column >= this.#columns) throw new Error(`wider than ${this.#columns}: ${line}`);
      this.#column += 1;
    }
  }

  #line(): string {
    return this.#rows[this.#row] ?? '';
  }

  #set(line: string): void {
    this.#rows[this.#row] = line;
  }
}
