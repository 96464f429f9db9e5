import { BoundaryError } from '../formats/boundary-error.ts';
import { toHex } from '../formats/digest.ts';
import { isStrictPublicKey } from '../formats/ed25519.ts';
import { parseVkey, TYPE_ED25519 } from '../formats/signed-note.ts';
import type { Bundle } from './bundle.ts';
import { type Defect, pointerOf } from './bundle-defects.ts';

/** Whether the keys of section `headquarters` are keys that all verifiers agree about, each once. */
export function checkHeadquarters({ headquarters }: Bundle): Defect[] {
  const seen = new Set<string>();
  return (headquarters?.acknowledgement_keys ?? []).flatMap((text, index): Defect[] => {
    const wrong = defectOf(text, seen);
    if (wrong === null) return [];
    return [
      {
        pointer: pointerOf('headquarters', 'acknowledgement_keys', index),
        found: wrong,
        write_instead: 'write the line of a .pub file from "holdfast repo new-key", each key once',
      },
    ];
  });
}

function defectOf(text: string, seen: Set<string>): string | null {
  try {
    const { publicKey, type } = parseVkey(text);
    if (type !== TYPE_ED25519 || !isStrictPublicKey(publicKey)) return 'a key that cannot be used';
    const material = toHex(publicKey);
    if (seen.has(material)) return 'a key that stands here already';
    seen.add(material);
    return null;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return `a key that cannot be read (${error.message})`;
  }
}
