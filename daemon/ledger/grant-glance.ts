/** `"2026-11-21T09:15:42.000Z"` without its quotes. */
const TIME_LENGTH = 24;
const QUOTE = 0x22;

const PERMIT = Buffer.from('permit');
const EXPIRES_AT = Buffer.from('expires_at');
const TRANSITIONS = Buffer.from('transitions');
const IDEMPOTENCY = Buffer.from('idempotency');
const BREAKGLASS = Buffer.from('breakglass');
const NONCE = Buffer.from('nonce');
/** How the data of a decision ends that is allowed at once. */
const AUTHORIZED = Buffer.from('"authorized"]}');

/**
 * What the pass over an entry (entry-scan.ts) sees of the one kind of decision that a busy site is full of: allowed at once,
 * its permit not used, asked for without an idempotency key or a break-glass session. Such an entry makes a row of which
 * nothing but the expiry is its own, so that the tables can be compared without reading it again.
 */
export class GrantGlance {
  /** Depth of the members of `data`, as the scanner counts it. */
  readonly #depth: number;
  #expires = -1;
  #transitions = false;
  #other = false;

  constructor(depth: number) {
    this.#depth = depth;
  }

  begin(): void {
    this.#expires = -1;
    this.#transitions = false;
    this.#other = false;
  }

  /** Takes note of a member, whose name is at `name` and whose value at `value`; itself if those inside are of interest. */
  member(bytes: Buffer, name: number, value: number, depth: number): GrantGlance | null {
    const length = value - name - 2;
    if (depth !== this.#depth) {
      if (length === EXPIRES_AT.length && hasAt(bytes, name, EXPIRES_AT)) this.#expires = value;
      return null;
    }
    switch (length) {
      case PERMIT.length:
        return hasAt(bytes, name, PERMIT) ? this : null;
      case TRANSITIONS.length:
        if (hasAt(bytes, name, TRANSITIONS)) this.#transitions = true;
        else if (hasAt(bytes, name, IDEMPOTENCY)) this.#other = true;
        return null;
      case BREAKGLASS.length:
        if (hasAt(bytes, name, BREAKGLASS)) this.#other = true;
        return null;
      case NONCE.length:
        if (hasAt(bytes, name, NONCE)) this.#other = true;
        return null;
      default:
        return null;
    }
  }

  /** When the permit expires (milliseconds since 1970), given where the data ends; null for any other kind of entry. */
  expiry(bytes: Buffer, end: number): number | null {
    if (this.#other || !this.#transitions || this.#expires < 0) return null;
    if (!hasAt(bytes, end - AUTHORIZED.length, AUTHORIZED)) return null;
    const from = this.#expires + 1;
    if (bytes[from - 1] !== QUOTE || bytes[from + TIME_LENGTH] !== QUOTE) return null;
    const until = Date.parse(bytes.toString('latin1', from, from + TIME_LENGTH));
    return until > 0 ? until : null;
  }
}

function hasAt(bytes: Buffer, at: number, what: Buffer): boolean {
  for (let i = 0; i < what.length; i++) if (bytes[at + i] !== what[i]) return false;
  return true;
}
