/*
 * What an executable carries inside: other files of the product, which in a checkout lie beside it. The executable's boot
 * code (`packaging/boot/boot.cjs`) puts the reader into place before any of our modules is evaluated.
 */

/** What boot code offers to us. */
export interface Embedding {
  /** Text of the whole program, for threads. */
  threadCode: string;
  /** Names of the embedded files. */
  names: readonly string[];
  /** Bytes of one; throws when there is none of that name. */
  read(name: string): Uint8Array;
}

const PLACE = Symbol.for('holdfast.embedding');

/** Null in a checkout. */
export function embedding(): Embedding | null {
  return (globalThis as { [PLACE]?: Embedding })[PLACE] ?? null;
}

/** The embedded files whose names begin with `folder/`, by the rest of their names; null in a checkout. */
export function embeddedFolder(folder: string): Map<string, Uint8Array> | null {
  const inside = embedding();
  if (inside === null) return null;
  const names = inside.names.filter((name) => name.startsWith(`${folder}/`));
  return new Map(names.map((name) => [name.slice(folder.length + 1), inside.read(name)]));
}
