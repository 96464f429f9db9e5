import { parseBundle } from '../core/bundle.ts';
import { toBase64 } from '../formats/digest.ts';
import type { Entry } from '../formats/entry.ts';
import { type ActKind, actNamespace } from '../formats/signed-act.ts';
import { parsePublicKeyLine } from '../formats/ssh-public-key.ts';

/**
 * An allowed_signers file for `ssh-keygen -Y verify` (ssh-keygen(1), ALLOWED SIGNERS): every key as a bundle has it
 * enrolled and active, for the kinds of acts among the entries. Throws what `parseBundle` does.
 */
export function allowedSigners(bundle: Uint8Array, entries: readonly Entry[]): string {
  const namespaces = [...new Set(entries.flatMap(namespaceOf))].sort().join(',');
  const { principals } = parseBundle(bundle).bundle;
  const lines = Object.entries(principals).flatMap(([id, { keys, status }]) =>
    (keys ?? [])
      .filter((key) => status === 'active' && (key.status ?? 'active') === 'active')
      .map(({ public_key, require_pin }) => {
        const { type, blob } = parsePublicKeyLine(public_key);
        const options = [
          ...(namespaces === '' ? [] : [`namespaces="${namespaces}"`]),
          ...(require_pin === true ? ['verify-required'] : []),
        ];
        return [id, ...(options.length === 0 ? [] : [options.join(',')]), type, toBase64(blob)].join(' ');
      }),
  );
  return lines.map((line) => `${line}\n`).join('');
}

function namespaceOf({ data }: Entry): string[] {
  const kind = (data.act as { kind?: unknown } | null | undefined)?.kind;
  return typeof kind === 'string' && /^[a-z]+$/.test(kind) ? [actNamespace(kind as ActKind)] : [];
}
