import { closeSync, openSync, readSync } from 'node:fs';
import { Command } from 'commander';
import type { SignedActBody } from '../api/client.ts';
import { actNonce, ID_TOKEN_MAX_LENGTH } from '../core/id-token.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { readText, type SiteOptions } from './access.ts';
import { isActText, signedOf } from './carried.ts';
import { print, printJson, say } from './render/output.ts';

/* An ID token beside an approval: what the identity provider says of who is at the keyboard, for this very act. */

/** Where an ID token comes from. Never an argument: other processes can see those. */
export interface IdTokenOptions {
  idToken?: string;
}

export const ID_TOKEN_OPTION = '--id-token <file>';
export const ID_TOKEN_HELP = 'ID token of the login for this very act: a file or pipe, or - for stdin';

const ACT_MAX_BYTES = 262_144;

/**
 * The signed act with the ID token beside it, if one was named. Whether the token belongs to the act is looked at here,
 * because a wrong one would only be refused and recorded at the site; who signed it the site finds out. `announce`: say
 * the nonce first, for acts that nobody can have logged in for yet. Throws BoundaryError `id_token.*`.
 */
export function withIdToken(
  signed: SignedActBody,
  { idToken: path }: IdTokenOptions,
  { announce = false } = {},
): SignedActBody {
  if (path === undefined) return signed;
  const nonce = actNonce(signed.act);
  if (announce)
    say(
      `Log in now at the site's identity provider, with nonce=${nonce}. Waiting for the ID token on ${path === '-' ? 'stdin' : path}.`,
    );
  const token = readToken(path);
  if (nonceOf(token) !== nonce) {
    throw new BoundaryError(
      'id_token.other_act',
      `The ID token was made for another act, or for none; nothing was sent. Sign with -o FILE, log in with the nonce of that act (holdfast approvals nonce FILE), then: holdfast approvals submit FILE --id-token TOKEN`,
      { at: '--id-token' },
    );
  }
  return { ...signed, id_token: token };
}

/** Reads to the end, so that a pipe may be written to after the act was signed. */
function readToken(path: string): string {
  let text: string;
  try {
    text = path === '-' ? readText('-', ID_TOKEN_MAX_LENGTH + 2) : readToEnd(path);
  } catch (cause) {
    throw new BoundaryError(
      'id_token.unreadable',
      `The ID token cannot be read from ${path === '-' ? 'stdin' : path}; nothing was sent.`,
      { at: '--id-token', cause },
    );
  }
  const token = text.trim();
  if (/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(token) && token.length <= ID_TOKEN_MAX_LENGTH)
    return token;
  throw new BoundaryError(
    'id_token.malformed',
    `${path === '-' ? 'stdin' : path} holds no ID token (one JWT of at most ${ID_TOKEN_MAX_LENGTH} characters); nothing was sent.`,
    { at: '--id-token' },
  );
}

function readToEnd(path: string): string {
  const buffer = Buffer.alloc(ID_TOKEN_MAX_LENGTH + 2);
  const fd = openSync(path, 'r');
  try {
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read)
      read = readSync(fd, buffer, length, buffer.length - length, null);
    return buffer.toString('utf8', 0, length);
  } finally {
    closeSync(fd);
    buffer.fill(0);
  }
}

/** The nonce that a token names; null when there is none to be found. Nothing else of it is believed here. */
function nonceOf(token: string): unknown {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null && 'nonce' in claims ? claims.nonce : null;
  } catch {
    return null;
  }
}

const NONCE_HELP = `
Where the policy asks for an ID token, sign first and log in for what was signed:
  holdfast approvals sign dec_01990000-… --key KEY -o alice.signed
  holdfast approvals nonce alice.signed               the nonce of the OpenID Connect request
  holdfast approvals submit alice.signed --id-token token.jwt`;

/** `holdfast approvals nonce`: what to log in with, so that the ID token speaks for one act and no other. */
export function nonceCommand(): Command {
  return new Command('nonce')
    .description('The nonce to log in with, so that the ID token belongs to this act.')
    .argument('<file>', 'an act (`sign --act-only`) or a signed one (`sign -o`); - for stdin')
    .addHelpText('after', NONCE_HELP)
    .action((file: string, options: SiteOptions) => {
      const nonce = actNonce(actIn(file));
      if (options.json) printJson({ nonce });
      else print(nonce);
    });
}

function actIn(file: string): string {
  const text = readText(file, ACT_MAX_BYTES);
  try {
    return isActText(text) ? text : signedOf(text).act;
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
    throw new BoundaryError('act.file', 'The file holds no act; there is nothing to log in for.', {
      at: file,
      cause,
    });
  }
}
