import type { Bundle } from '../../core/bundle.ts';
import { parseVkey } from '../../formats/signed-note.ts';
import { added, listed, removed } from './words.ts';

/** Whose acknowledgements empty a site's outbox. Both bundles must have compiled. */
export function headquartersChanges(before: Bundle, after: Bundle): string[] {
  const keysOf = ({ headquarters }: Bundle) => headquarters?.acknowledgement_keys ?? [];
  const come = added(keysOf(before), keysOf(after)).map(holder);
  const gone = removed(keysOf(before), keysOf(after)).map(holder);
  return [
    ...(come.length === 0
      ? []
      : [`What ${listed(come)} acknowledged for headquarters may leave the site's outbox.`]),
    ...(gone.length === 0 ? [] : [`Acknowledgements by ${listed(gone)} no longer count.`]),
  ];
}

function holder(vkey: string): string {
  const { name, keyId } = parseVkey(vkey);
  return `${name} (key ${keyId})`;
}
