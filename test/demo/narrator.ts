/** Something did not go as the demonstration says it must. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure';
}

/** Fails the demonstration unless `holds`. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new DemoFailure(what);
}

const colours = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
const paint = (code: number, text: string): string => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
const WIDTH = 100;
const LABEL = 10;
const TIME = 9;

/** Tells the story on stdout: numbered steps, labelled lines, milliseconds. */
export class Narrator {
  #steps = 0;

  get steps(): number {
    return this.#steps;
  }

  say(text = ''): void {
    process.stdout.write(`${text}\n`);
  }

  /** Starts a numbered step. */
  step(title: string, why: string): void {
    this.#steps += 1;
    this.say();
    this.say(paint(1, `${String(this.#steps).padStart(2)}. ${title}`));
    this.say(`    ${paint(2, why)}`);
  }

  /** One labelled line, with the time that it took. */
  line(label: string, text: string, milliseconds?: number, emphasize = (word: string) => word): void {
    const time = milliseconds === undefined ? '' : `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
    const [first = '', ...more] = wrap(text, WIDTH - LABEL - 4 - TIME);
    this.say(
      `    ${emphasize(label.padEnd(LABEL))}${first.padEnd(WIDTH - LABEL - 4 - TIME)}${paint(2, time.padStart(TIME))}`.trimEnd(),
    );
    for (const line of more) this.say(`    ${' '.repeat(LABEL)}${line}`);
  }

  /** The same for what had to happen, with the outcome's word in green. */
  good(label: string, text: string, milliseconds?: number): void {
    this.line(label, text, milliseconds, (word) => paint(32, word));
  }

  bad(text: string): void {
    this.say(paint(31, text));
  }
}

/** Lines of at most `width` characters, broken at spaces; a longer word (a path) gets a line of its own. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
