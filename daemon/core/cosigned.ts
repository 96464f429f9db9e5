import type { Entry } from '../formats/entry.ts';

/** `data` of an `anchor.cosigned` entry: who cosigned one checkpoint of this log, with the words themselves. */
export interface CosignedData {
  size: number;
  /** Hex RFC 6962 root at `size`. */
  root: string;
  cosignatures: {
    /** Name of the witness's key. */
    witness: string;
    /** Text of its vkey (C2SP, type 0x04). */
    vkey: string;
    /** RFC 3339, by the witness's clock. */
    time: string;
  }[];
  /** The checkpoint as a note with its log's signatures and these cosignatures: anybody can check them again. */
  note: string;
}

/** Digits of sizes in ids, so that these sort as sizes do: 2^53 has sixteen. */
const SIZE_DIGITS = 16;

/** The cosignature of a checkpoint of `size` by the key of that name and id: there is one at most. */
export function cosignatureId(size: number, vkey: string): string {
  return `${sizePrefix(size)} ${keyName(vkey)}`;
}

/** What all ids of a size begin with; all ids of smaller sizes sort before it. */
export function sizePrefix(size: number): string {
  return String(size).padStart(SIZE_DIGITS, '0');
}

/** What `cosignatureId` made an id from. */
export function cosignatureOf(id: string): { size: number; key: string } {
  return { size: Number(id.slice(0, SIZE_DIGITS)), key: id.slice(SIZE_DIGITS + 1) };
}

/** Name and key id of a vkey: `name+8 hex digits`. */
export function keyName(vkey: string): string {
  return /^[^+]+\+[0-9a-f]{8}/.exec(vkey)?.[0] ?? vkey;
}

/** Ids of the cosignatures that an entry brings. */
export function cosignedBy({ data }: Pick<Entry, 'data'>): string[] {
  const { size, cosignatures } = data as unknown as CosignedData;
  return cosignatures.map(({ vkey }) => cosignatureId(size, vkey));
}
