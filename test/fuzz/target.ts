import { BoundaryError } from '../../daemon/formats/boundary-error.ts';

type Printed = Uint8Array | string | Promise<Uint8Array>;

/** A reader of untrusted bytes, with examples that it accepts. */
export interface Target {
  name: string;
  /** The exported functions that it is about. */
  covers: readonly string[];
  /** Real ones. The first is accepted, so that what is made of it gets somewhere. */
  seeds: readonly Uint8Array[];
  /** Reads the input as the product does. Throws `BoundaryError` for what it refuses; anything else is a finding. */
  read(input: Uint8Array): unknown;
  /** The bytes of what was read, where there is a printer: reading them gives the same again. */
  write?(value: never): Printed;
  /** What tells one value from another where nothing is refused: inputs that are answered in a new way are kept. */
  tell?(value: never): string;
  /** Words of the format, beside those that every format knows. */
  words?: readonly string[];
  /** CPU time that one input may take; by default `CPU_MS`. */
  cpuMs?: number;
}

/** Text as readers of files get it: what is not UTF-8 was replaced. */
export function textOf(input: Uint8Array): string {
  return Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString('utf8');
}

export function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
}

interface TextTarget<T> {
  covers: readonly string[];
  seeds: readonly string[];
  read(text: string): T | Promise<T>;
  write?(value: T): Printed;
  words?: readonly string[];
}

/** A target whose input is text. */
export function text<T>(name: string, { seeds, read, write, ...rest }: TextTarget<T>): Target {
  return {
    name,
    ...rest,
    seeds: seeds.map(bytesOf),
    read: (input) => read(textOf(input)),
    ...(write === undefined ? {} : { write: write as (value: never) => Printed }),
  };
}

interface ByteTarget<T> {
  covers: readonly string[];
  seeds: readonly Uint8Array[];
  read(bytes: Uint8Array): T | Promise<T>;
  write?(value: T): Printed;
  tell?(value: T): string;
  words?: readonly string[];
  cpuMs?: number;
}

/** A target whose input is bytes. */
export function bytes<T>(name: string, target: ByteTarget<T>): Target {
  // Only what `read` gave is ever handed to the others.
  return { name, ...(target as Omit<Target, 'name'>) };
}

/** For readers whose "no" is a value: the fuzzer sees a refusal, and its code tells one from another. */
export function refusedAs(code: string): never {
  throw new BoundaryError(code, 'It was refused.');
}
