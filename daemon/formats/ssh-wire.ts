import { BoundaryError } from './boundary-error.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads RFC 4251 §5 data. Every read is bounded by the buffer; throws `BoundaryError` with the code given. */
export class SshReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #code: string;
  #at = 0;

  constructor(bytes: Uint8Array, code: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#code = code;
  }

  byte(): number {
    return this.#take(1)[0] ?? 0;
  }

  uint32(): number {
    const at = this.#at;
    this.#take(4);
    return this.#view.getUint32(at);
  }

  /** `string`: length and bytes. */
  string(): Uint8Array {
    return this.#take(this.uint32());
  }

  /** A `string` that holds UTF-8 text. */
  text(): string {
    const bytes = this.string();
    try {
      return decoder.decode(bytes);
    } catch {
      throw this.#error('holds text that is not UTF-8');
    }
  }

  /** A positive `mpint`, without its sign byte. */
  positiveInteger(): Uint8Array {
    const bytes = this.string();
    const [first, second] = bytes;
    if (first === undefined || first >= 0x80 || (first === 0 && (second === undefined || second < 0x80))) {
      throw this.#error('holds a number that is not a positive mpint');
    }
    return first === 0 ? bytes.subarray(1) : bytes;
  }

  raw(length: number): Uint8Array {
    return this.#take(length);
  }

  rest(): Uint8Array {
    return this.#take(this.#bytes.length - this.#at);
  }

  /** Refuses trailing bytes. */
  end(): void {
    if (this.#at !== this.#bytes.length) {
      throw this.#error('has bytes after its end');
    }
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) {
      throw this.#error('ends too early');
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  #error(what: string): BoundaryError {
    return new BoundaryError(this.#code, `The SSH data ${what}.`);
  }
}

/** RFC 4251 `string` of bytes or of UTF-8 text. */
export function sshString(value: Uint8Array | string): Uint8Array {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  return concat(sshUint32(bytes.length), bytes);
}

/** RFC 4251 `uint32`: four bytes, big-endian. */
export function sshUint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** One new array with the bytes of all. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** PEM-like armor as OpenSSH writes it: base64 in lines of 70 columns. */
export function armor(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,70}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** The bytes in an armor; lines may end in CR LF. Null when it is not one armor with strict base64, or over `max` chars. */
export function unarmor(label: string, text: string, max: number): Uint8Array | null {
  if (text.length > max) {
    return null;
  }
  const lines = text.trimEnd().split(/\r?\n/);
  if (lines.shift() !== `-----BEGIN ${label}-----` || lines.pop() !== `-----END ${label}-----`) {
    return null;
  }
  const body = lines.join('');
  const bytes = Buffer.from(body, 'base64');
  return body !== '' && bytes.toString('base64') === body ? new Uint8Array(bytes) : null;
}
