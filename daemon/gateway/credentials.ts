import { BoundaryError } from '../formats/boundary-error.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import type { ResolvedCall } from '../formats/permit.ts';
import { slotName } from '../formats/secret-reference.ts';
import { readCredential } from '../host/credential.ts';
import { type GatewayRefusal, isRefused, refuse } from './refusal.ts';

/** Larger secrets belong into a file that the tool reads itself. */
const MAX_BYTES = 65_536;

/** Looks up a secret by its name. Null when there is none; throws BoundaryError when it may not be used. */
export type CredentialSource = (name: string) => string | null;

/** Values for the slots of one call, by the credential's name. Only for the tool; never logged, reported or sent. */
export type CredentialValues = ReadonlyMap<string, string>;

/**
 * The credentials of this process: the service manager's (`$CREDENTIALS_DIRECTORY`), else those in the directory that the
 * configuration names. One newline at the end, as editors leave it, is not part of a secret.
 */
export function credentialSource(directories: readonly (string | null | undefined)[]): CredentialSource {
  const known = directories.filter(
    (directory) => typeof directory === 'string' && directory !== '',
  ) as string[];
  return (name) => {
    for (const directory of known) {
      const bytes = readCredential(directory, name, MAX_BYTES);
      if (bytes !== null) return textOf(bytes, name).replace(/\r?\n$/, '');
    }
    return null;
  };
}

function textOf(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    // The cause could quote the secret.
    throw new BoundaryError(
      'credential.not_text',
      `The credential ${name} is not UTF-8 text; it was not used.`,
    );
  }
}

/**
 * The secrets that a call needs, read before its permit is spent: what is missing then costs nothing but a message. Read
 * anew for each call, so that a secret that was replaced counts at once.
 */
export function lookUpCredentials(
  call: ResolvedCall,
  source: CredentialSource,
): CredentialValues | GatewayRefusal {
  const values = new Map<string, string>();
  for (const value of Object.values(membersOf(call))) {
    const name = slotName(value);
    if (name === null || values.has(name)) continue;
    const secret = readOne(name, source);
    if (isRefused(secret)) return secret;
    values.set(name, secret);
  }
  return values;
}

/** The call with the secrets in their slots: from here to the tool's stdin (or request body), and nowhere else. */
export function fillCredentials(call: ResolvedCall, values: CredentialValues): ResolvedCall {
  if (values.size === 0) return call;
  const members: JsonObject = {};
  for (const [field, value] of Object.entries(membersOf(call))) {
    const name = slotName(value);
    members[field] = name === null ? value : (values.get(name) ?? null);
  }
  return call.connector === 'exec' ? { ...call, stdin: members } : { ...call, body: members };
}

function readOne(name: string, source: CredentialSource): string | GatewayRefusal {
  try {
    const secret = source(name);
    if (secret !== null) return secret;
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return refuse(
      'gateway.credential_unusable',
      `${error.message} No tool was started; the permit is unspent.`,
      error.code,
    );
  }
  return refuse(
    'gateway.credential_missing',
    `This gateway has no credential ${name}. No tool was started; the permit is unspent. Give it to the gateway (systemd: LoadCredentialEncrypted=${name}, else a file in the directory /secrets/credentials of holdfast.json) and try again.`,
  );
}

function membersOf(call: ResolvedCall): JsonObject {
  const members: Json = call.connector === 'exec' ? call.stdin : call.body;
  return typeof members === 'object' && members !== null && !Array.isArray(members) ? members : {};
}
