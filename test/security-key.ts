import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { sha256 } from '../daemon/formats/digest.ts';
import { publicKeyOf, signEd25519 } from '../daemon/formats/ed25519.ts';
import { fingerprint, SK_ECDSA, SK_ED25519 } from '../daemon/formats/ssh-public-key.ts';
import { concat, sshString, sshUint32 } from '../daemon/formats/ssh-wire.ts';
import { formatSshSignature, sshsigToSign } from '../daemon/formats/sshsig.ts';

/* A FIDO security key in software, after PROTOCOL.u2f: what a person's token would answer, honest or not. */

const APPLICATION = 'ssh:';
const ORIGIN = 'https://console.outpost-7.example';

/** How a signature is made; by default touched, unlocked with the PIN, and counted. */
export interface Use {
  touched?: boolean;
  pin?: boolean;
  /** Sign as if the counter stood here. */
  counter?: number;
}

abstract class SecurityKey {
  abstract readonly type: string;
  abstract readonly blob: Uint8Array;
  counter = 0;

  get line(): string {
    return `${this.type} ${Buffer.from(this.blob).toString('base64')} token`;
  }

  get fingerprint(): string {
    return fingerprint(this.blob);
  }

  /** The SSH signature over the data: type, signature, flags, counter. */
  signature(data: Uint8Array, use: Use = {}): Uint8Array {
    const { flags, counter } = this.#use(use);
    const signed = concat(sha256(APPLICATION), Uint8Array.of(flags), sshUint32(counter), sha256(data));
    return concat(
      sshString(this.type),
      sshString(this.raw(signed)),
      Uint8Array.of(flags),
      sshUint32(counter),
    );
  }

  /** SSHSIG armor, as `ssh-keygen -Y sign` makes it with the token. */
  sign(message: string, namespace: string, use: Use = {}): string {
    const data = sshsigToSign({ namespace, message: Buffer.from(message) });
    return formatSshSignature({ publicKey: this.blob, namespace }, this.signature(data, use));
  }

  #use({ touched = true, pin = true, counter }: Use): { flags: number; counter: number } {
    if (counter === undefined) this.counter += 1;
    return { flags: (touched ? 1 : 0) | (pin ? 4 : 0), counter: counter ?? this.counter };
  }

  protected abstract raw(signed: Uint8Array): Uint8Array;
}

/** `sk-ssh-ed25519@openssh.com`. */
export class Ed25519SecurityKey extends SecurityKey {
  readonly type = SK_ED25519;
  readonly blob: Uint8Array;
  readonly #seed = new Uint8Array(randomBytes(32));

  constructor() {
    super();
    this.blob = concat(sshString(SK_ED25519), sshString(publicKeyOf(this.#seed)), sshString(APPLICATION));
  }

  protected raw(signed: Uint8Array): Uint8Array {
    return signEd25519(this.#seed, signed);
  }
}

/** `sk-ecdsa-sha2-nistp256@openssh.com`; signs as a browser would, too (`webauthn-sk-…`). */
export class EcdsaSecurityKey extends SecurityKey {
  readonly type = SK_ECDSA;
  readonly blob: Uint8Array;
  readonly #key: KeyObject;

  constructor() {
    super();
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    const point = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
    this.#key = privateKey;
    this.blob = concat(
      sshString(SK_ECDSA),
      sshString('nistp256'),
      sshString(new Uint8Array(point)),
      sshString(APPLICATION),
    );
  }

  /** The same act, signed through a web page: the message is the challenge of an assertion. */
  signOnPage(message: string, namespace: string, use: { counter: number }): string {
    const data = sshsigToSign({ namespace, message: Buffer.from(message) });
    const challenge = Buffer.from(data).toString('base64url');
    const clientData = `{"type":"webauthn.get","challenge":"${challenge}","origin":"${ORIGIN}","crossOrigin":false}`;
    const tail = concat(Uint8Array.of(5), sshUint32(use.counter));
    const signed = concat(sha256(APPLICATION), tail, sha256(clientData));
    const signature = concat(
      sshString(`webauthn-${SK_ECDSA}`),
      sshString(this.raw(signed)),
      tail,
      sshString(ORIGIN),
      sshString(clientData),
      sshString(''),
    );
    return formatSshSignature({ publicKey: this.blob, namespace }, signature);
  }

  protected raw(signed: Uint8Array): Uint8Array {
    const rs = sign('sha256', signed, { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return concat(mpint(rs.subarray(0, 32)), mpint(rs.subarray(32)));
  }
}

/** RFC 4251 `mpint` of a positive number. */
function mpint(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const digits = bytes.subarray(start);
  return sshString((digits[0] ?? 0) >= 0x80 ? concat(Uint8Array.of(0), digits) : digits);
}
