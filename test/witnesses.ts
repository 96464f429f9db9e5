import { witnessSigner } from '../daemon/formats/cosignature.ts';
import { ed25519Signer } from '../daemon/formats/ed25519.ts';
import { formatVkey, type NoteSigner } from '../daemon/formats/signed-note.ts';

/** A witness's key, made from its name. */
export function witness(name: string): NoteSigner {
  const seed = Uint8Array.from({ length: 32 }, (_, at) => (name.charCodeAt(at % name.length) * 7 + at) % 256);
  const key = ed25519Signer(seed);
  return witnessSigner({ name, vkey: formatVkey(name, key.publicKey), sign: key.sign });
}

/** A tlog-policy that believes these witnesses, with the quorum of `k` of them (none: of nobody). */
export function tlogPolicy(
  logVkey: string,
  witnesses: readonly NoteSigner[],
  k: number | null = null,
): string {
  const lines = witnesses.map(({ name, vkey }) => `witness ${name} ${vkey}\n`).join('');
  const quorum =
    k === null
      ? 'quorum none\n'
      : `group all-of-them ${k} ${witnesses.map(({ name }) => name).join(' ')}\nquorum all-of-them\n`;
  return `log ${logVkey}\n${lines}${quorum}`;
}
