import { fstatSync, readSync } from 'node:fs';
import { BoundaryError } from '../formats/boundary-error.ts';

const MAX_BYTES = 4_096;

/** Where passphrases come from: a file descriptor (one a line) or, without one, the person at the terminal. */
export interface PassphraseOptions {
  passphraseFd?: string;
}

/**
 * Gives one passphrase after the other: the lines of the file descriptor in order (a single line serves for all), or
 * answers at the terminal. Never from arguments or the environment, which other processes can see. With `confirm` the
 * person types it twice. Throws BoundaryError `passphrase.*`.
 */
export type AskPassphrase = (what: string, options?: { confirm: boolean }) => Promise<string>;

/** How a command asks for passphrases, by its options. */
export function passphrases({ passphraseFd }: PassphraseOptions): AskPassphrase {
  if (passphraseFd === undefined) return askAtTerminal;
  const lines = readLines(passphraseFd);
  let next = 0;
  return async (what) => {
    const line = lines.length === 1 ? lines[0] : lines[next++];
    if (line === undefined || line === '')
      throw new BoundaryError(
        'passphrase.missing',
        `The file descriptor holds no passphrase for ${what}; nothing was done. Give one line for each key, in order, or one for all.`,
        { at: '--passphrase-fd' },
      );
    return line;
  };
}

function readLines(option: string): string[] {
  const fd = /^(0|[1-9]\d{0,3})$/.test(option) ? Number(option) : -1;
  const buffer = Buffer.alloc(MAX_BYTES);
  let length = 0;
  try {
    fstatSync(fd);
    for (let read = -1; read !== 0 && length < MAX_BYTES; length += read)
      read = readSync(fd, buffer, length, MAX_BYTES - length, null);
    return new TextDecoder('utf-8', { fatal: true })
      .decode(buffer.subarray(0, length))
      .replace(/\r?\n$/, '')
      .split(/\r?\n/);
  } catch {
    throw new BoundaryError(
      'passphrase.unreadable',
      'No passphrase can be read from that file descriptor; nothing was done. Open one for it, such as: --passphrase-fd 3 3<FILE',
      { at: '--passphrase-fd' },
    );
  } finally {
    buffer.fill(0);
  }
}

const askAtTerminal: AskPassphrase = async (what, options = { confirm: false }) => {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true)
    throw new BoundaryError(
      'passphrase.missing',
      `A passphrase is needed for ${what} and there is no terminal to ask at; nothing was done. Give it with --passphrase-fd N.`,
    );
  const typed = await typeHidden(`Passphrase for ${what}: `);
  if (options.confirm && (await typeHidden('Once more: ')) !== typed)
    throw new BoundaryError('passphrase.differs', 'The two were not the same; nothing was done.');
  return typed;
};

/** One line from the terminal, unseen. */
function typeHidden(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(prompt);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.resume();
  return new Promise((resolve, reject) => {
    let text = '';
    const end = (act: () => void): void => {
      stdin.off('data', onData);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      act();
    };
    const onData = (chunk: string): void => {
      for (const char of chunk) {
        if (char === '\r' || char === '\n') {
          end(() => resolve(text));
          return;
        }
        if (char === '\u0003' || char === '\u0004') {
          end(() => reject(new BoundaryError('passphrase.declined', 'Nothing was done.')));
          return;
        }
        text = char === '\u007f' || char === '\b' ? [...text].slice(0, -1).join('') : text + char;
      }
    };
    stdin.on('data', onData);
  });
}
