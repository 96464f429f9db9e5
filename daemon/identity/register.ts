import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { isOfSite, parseSpiffeId } from '../formats/spiffe.ts';
import { parseStrict } from '../formats/strict-json.ts';
import { readBounded, writeDurable } from '../host/durable-file.ts';

/** What is remembered of a certificate that was given out; one file each, named by its fingerprint. */
export interface IssuedRecord {
  /** Hex SHA-256. */
  fingerprint: string;
  spiffe_id: string;
  name: string;
  serial: string;
  issued_at: string;
  /** Fingerprint of the certificate that this one takes the place of, from its first use on; null when of none. */
  replaces: string | null;
  state: 'active' | 'replaced';
}

/** How a certificate stands: given out and good, given out and replaced since, or never given out here. */
export type CertificateStanding = 'active' | 'replaced' | 'unknown';

const RECORD_MAX_BYTES = 4_096;
const FINGERPRINT = /^[0-9a-f]{64}$/;
/** For how long an answer is believed before the file is looked at again, in ms: this bounds how long one lasts that was replaced. */
const BELIEVED_MS = 250;

/**
 * The certificates that this site gave out. One that is not in it does not count, although the authority signed it: then
 * somebody else has the authority's key. Certificates never run out, so renewed ones must: each names the one that it
 * replaces, which counts no longer once the new one was seen in use.
 */
export class Register {
  readonly #directory: string;
  readonly #known = new Map<string, { record: IssuedRecord | null; until: number }>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Remembers a new certificate. Durable when it returns: before anybody gets the certificate. */
  add(record: IssuedRecord): void {
    this.#write(record);
  }

  /** How a certificate stands. Damaged records count as unknown: nobody comes in by them. */
  standing(fingerprint: string): CertificateStanding {
    return this.#record(fingerprint)?.state ?? 'unknown';
  }

  /** Notes that a certificate was used: whoever has the new one needs the old one no more. */
  seen(fingerprint: string): void {
    const replaces = this.#record(fingerprint)?.replaces ?? null;
    if (replaces !== null) this.replace(replaces);
  }

  /** Ends a certificate. Nothing happens to one that is unknown or ended already. */
  replace(fingerprint: string): void {
    const old = this.#record(fingerprint);
    if (old === null || old.state === 'replaced') return;
    this.#write({ ...old, state: 'replaced' });
  }

  /** Everything that was given out, newest last. */
  list(): IssuedRecord[] {
    return readdirSync(this.#directory)
      .filter((name) => name.endsWith('.json') && FINGERPRINT.test(name.slice(0, -5)))
      .flatMap((name) => this.#read(name.slice(0, -5)) ?? [])
      .sort((a, b) => (a.issued_at < b.issued_at ? -1 : a.issued_at > b.issued_at ? 1 : 0));
  }

  #write(record: IssuedRecord): void {
    const text = `${JSON.stringify(record, null, 2)}\n`;
    writeDurable(this.#path(record.fingerprint), Buffer.from(text, 'utf8'), 0o600);
    this.#known.set(record.fingerprint, { record, until: performance.now() + BELIEVED_MS });
  }

  #record(fingerprint: string): IssuedRecord | null {
    const now = performance.now();
    const known = this.#known.get(fingerprint);
    if (known !== undefined && now < known.until) return known.record;
    const record = FINGERPRINT.test(fingerprint) ? this.#read(fingerprint) : null;
    // What was never given out is not remembered: anybody could fill the memory with it.
    if (record === null) this.#known.delete(fingerprint);
    else this.#known.set(fingerprint, { record, until: now + BELIEVED_MS });
    return record;
  }

  #read(fingerprint: string): IssuedRecord | null {
    try {
      const text = Buffer.from(readBounded(this.#path(fingerprint), RECORD_MAX_BYTES)).toString('utf8');
      const value = parseStrict(text, { maxBytes: RECORD_MAX_BYTES, maxDepth: 2 });
      return isRecord(value) && value.fingerprint === fingerprint ? value : null;
    } catch (error) {
      if (error instanceof BoundaryError) return null;
      throw error;
    }
  }

  #path(fingerprint: string): string {
    return join(this.#directory, `${fingerprint}.json`);
  }
}

function isRecord(value: unknown): value is IssuedRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { fingerprint, spiffe_id, name, serial, issued_at, replaces, state } = value as JsonObject;
  const texts = [fingerprint, spiffe_id, name, serial, issued_at].every((text) => typeof text === 'string');
  const ended = state === 'active' || state === 'replaced';
  return texts && ended && (replaces === null || typeof replaces === 'string');
}

/** A SPIFFE ID that this site may put into a certificate. Throws BoundaryError `spiffe.malformed`, `spiffe.other_site`. */
export function ownSpiffeId(text: string, site: string): string {
  parseSpiffeId(text);
  if (isOfSite(text, site)) return text;
  throw new BoundaryError(
    'spiffe.other_site',
    `${text} is not an ID of this site; it issues certificates for spiffe://${site}/… only. Nothing was issued.`,
  );
}
