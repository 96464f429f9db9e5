import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { bytes, type Target, text } from './target.ts';

/* Readers with bugs that the fuzzer has to find. */

function refuse(): never {
  throw new BoundaryError('planted.refused', 'No.');
}

export async function targets(): Promise<Target[]> {
  return [
    text('throws', {
      covers: [],
      seeds: ['{"a":1,"b":[1,2,3]}'],
      read(input) {
        let value: unknown;
        try {
          value = JSON.parse(input);
        } catch {
          return refuse();
        }
        return (value as { a: object }).a.toString();
      },
    }),
    bytes('behind-three-steps', {
      covers: [],
      seeds: [Buffer.from('abcdef')],
      // Found only by who keeps what got one step further.
      read(input) {
        if (input[0] !== 0x62) return first();
        if (input[1] !== 0x63) return second();
        if (input[2] !== 0x64) return third();
        throw new TypeError('found');
      },
    }),
    bytes('prints-otherwise', {
      covers: [],
      seeds: [Buffer.from('a')],
      read: (input) => input.length,
      write: (length) => new Uint8Array(length > 100 ? length - 1 : length),
    }),
    bytes('burns', {
      covers: [],
      seeds: [Buffer.from('a')],
      read(input) {
        const began = process.threadCpuUsage();
        const burnt = (): number => process.threadCpuUsage(began).user;
        while (input.length > 200 && burnt() < 100_000);
        return null;
      },
      cpuMs: 50,
    }),
    bytes('hangs', {
      covers: [],
      seeds: [Buffer.from('a')],
      read(input) {
        while (input.length > 5);
        return null;
      },
    }),
    bytes('grows', {
      covers: [],
      seeds: [Buffer.from('a')],
      read(input) {
        const all: object[] = [];
        while (input.length > 5) all.push(Array(10_000).fill({}));
        return all.length;
      },
    }),
  ];
}

function first(): never {
  return refuse();
}

function second(): never {
  return refuse();
}

function third(): never {
  return refuse();
}
