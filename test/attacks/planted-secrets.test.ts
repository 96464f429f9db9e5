import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METHODS } from '../../daemon/api/methods.ts';
import { canonicalText } from '../../daemon/formats/canonical-json.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { ROOT } from '../structure/sources.ts';
import { type Role, type Socket, World } from '../world.ts';
import {
  CREDENTIAL,
  FORMS,
  filesOf,
  formsOf,
  joining,
  PASSWORD,
  PIN,
  PSK,
  planted,
  SECRETS,
  TOKEN,
  templates,
} from './planted.ts';

/*
 * Secrets are planted wherever somebody could put one: in every text of every method, in headers, paths, queries and broken
 * requests; and where they belong: in sensitive fields, and in credentials of the gateway. Real processes. Then every file of
 * the site, every log line and every answer is searched for each of them, in every form that a file could hold it in.
 */

let world: World;
let daemon: Role;
let gateway: Role;
/** A decision whose values are opened at the end, by the book. */
let kept = '';
/** Everything that came back over a socket, except what an authorized disclosure gave out. */
const answers: string[] = [];

interface Answer {
  status: number;
  text: string;
}

function send(
  socket: Socket,
  verb: string,
  path: string,
  body: string | null,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        socketPath: world.socket(socket),
        method: verb,
        path,
        headers: { 'content-type': 'application/json', ...headers },
      },
      (response) => {
        let text = JSON.stringify(response.headers);
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    request.once('error', reject);
    request.end(body ?? undefined);
  });
}

async function told(...call: Parameters<typeof send>): Promise<Answer> {
  const answer = await send(...call);
  answers.push(answer.text);
  return answer;
}

const bodyOf = (text: string): JsonObject => JSON.parse(text.slice(text.indexOf('}') + 1)) as JsonObject;

beforeAll(async () => {
  world = await World.make(join(ROOT, 'test/attacks/secret-policy'));
  const credentials = join(world.root, 'credentials');
  mkdirSync(credentials, { mode: 0o700 });
  writeFileSync(join(credentials, 'relay-key'), `${CREDENTIAL}\n`, { mode: 0o600 });
  daemon = await world.daemon();
  gateway = await world.gateway({ env: { CREDENTIALS_DIRECTORY: credentials } });
}, 120_000);
afterAll(() => world.close());

describe('secrets where they belong', () => {
  it('reach the tool, all three kinds, and it alone', async () => {
    const { status, text } = await told('gateway', 'POST', '/v1/actions', JSON.stringify(joining(PIN)));
    expect(status, text).toBe(200);
    const { output, decision } = bodyOf(text) as unknown as {
      output: { stdout: string };
      decision: { decision_id: string };
    };
    kept = decision.decision_id;
    const handed = JSON.stringify({ psk: PSK, pin: PIN, key: CREDENTIAL });
    expect(output.stdout).toContain(createHash('sha256').update(handed).digest('hex'));
  });

  it('are asked for before a permit is spent: a credential that is missing costs nothing', async () => {
    const body = joining(PIN);
    body.action.payload.key = 'credential:no-such';
    const { status, text } = await told('gateway', 'POST', '/v1/actions', JSON.stringify(body));
    const { code, decision } = bodyOf(text) as unknown as {
      code: string;
      decision: { permit_state: string };
    };
    expect([status, code, decision.permit_state]).toEqual([503, 'gateway.credential_missing', 'issued']);
  });

  it('are refused where only a name belongs', async () => {
    const body = joining(PIN);
    body.action.payload.key = CREDENTIAL;
    const { text } = await told('request', 'POST', '/v1/decisions', JSON.stringify(body));
    expect((bodyOf(text) as unknown as { status: string }).status).toBe('denied');
  });
});

describe('secrets where they do not belong', () => {
  it('are planted in every text of every method', { timeout: 300_000 }, async () => {
    const made = await told('request', 'POST', '/v1/decisions', JSON.stringify(joining('0452')));
    const { decision_id, permit } = bodyOf(made.text) as unknown as {
      decision_id: string;
      permit: { id: string };
    };
    // An outcome counts once, so each planted one needs a redeemed permit of its own.
    const outcome = {
      audience: 'gateway',
      result: 'failed',
      detail: { exit_code: 1, signal: 'SIGTERM', reason: 'why' },
    };
    for (const secret of [TOKEN, PASSWORD]) {
      for (const changed of planted(outcome, secret)) {
        const fresh = await told('request', 'POST', '/v1/decisions', JSON.stringify(joining('0453')));
        const { permit: own } = bodyOf(fresh.text) as unknown as {
          permit: { id: string; action_digest: string };
        };
        const redeem = { audience: 'gateway', action_digest: own.action_digest };
        // What it answers is meant for the gateway alone.
        await send('redeem', 'POST', `/v1/permits/${own.id}/redeem`, JSON.stringify(redeem));
        await told('redeem', 'POST', `/v1/permits/${own.id}/outcome`, JSON.stringify(changed));
      }
    }
    for (const { socket, path, body } of templates(decision_id, permit.id)) {
      for (const secret of [TOKEN, PASSWORD]) {
        for (const [, form] of FORMS) {
          for (const changed of planted(body, form(secret)))
            await told(socket, 'POST', path, JSON.stringify(changed));
        }
        await told(socket, 'POST', path, `{"action": ${secret}`);
        await told(socket, 'POST', path, JSON.stringify(body), {
          'idempotency-key': `k-${secret}`,
          'x-other': secret,
        });
      }
      await told(socket, 'POST', `${path}/${TOKEN}?x=${TOKEN}&${TOKEN}=1`, '{}');
    }
    for (const { http, sockets } of METHODS) {
      if (http === null || http.verb !== 'GET') continue;
      const path = http.path.replace(/\{\w+\+?\}/g, TOKEN);
      for (const socket of sockets)
        await told(socket, 'GET', `${path}?limit=${TOKEN}&after=${TOKEN}&${TOKEN}=1`, null);
    }
  });

  it('are in no answer but the one that was authorized, nor in status, metrics or the description of the API', async () => {
    for (const path of [
      '/v1/status',
      '/metrics',
      '/v1/openapi.json',
      '/v1/ledger/entries?from=0&limit=100',
    ]) {
      await told('operator', 'GET', path, null);
    }
    await told('gateway', 'GET', '/metrics', null);
    for (const answer of answers) {
      for (const secret of SECRETS) {
        const found = formsOf(secret).find((form) => answer.includes(form));
        expect(found, answer.slice(0, 2_000)).toBeUndefined();
      }
    }
  });

  it('are in no file and in no log line', { timeout: 120_000 }, async () => {
    const out = join(world.root, 'opened.json');
    const opened = await world.holdfast(
      'decision',
      'disclose',
      kept,
      '--field',
      'psk',
      '--reason',
      'test',
      '--actor',
      'operator',
      '-o',
      out,
    );
    expect(opened.code, opened.stderr).toBe(0);
    expect(readFileSync(out, 'utf8')).toContain(PSK);
    const search = (where: string) => {
      for (const file of filesOf(world.dir)) {
        const bytes = readFileSync(file);
        for (const secret of SECRETS) {
          for (const form of formsOf(secret))
            expect(bytes.includes(form), `${form} in ${file} ${where}`).toBe(false);
        }
      }
    };
    search('while it runs');
    const logs = [await gateway.kill('SIGTERM'), await daemon.kill('SIGTERM')];
    search('after it ended');
    for (const { stdout, stderr } of logs) {
      for (const secret of SECRETS) {
        for (const form of formsOf(secret)) expect((stdout + stderr).includes(form), form).toBe(false);
      }
    }
    const verified = await world.json('ledger', 'verify');
    expect(verified.code).toBe(0);
  });

  it('cannot be found by trying: no digest in any file is one of a PIN without its salt', () => {
    const digests = new Set<string>();
    for (const file of filesOf(world.dir)) {
      for (const [digest] of readFileSync(file, 'latin1').matchAll(/[0-9a-f]{64}/g)) digests.add(digest);
    }
    expect(digests.size).toBeGreaterThan(20);
    for (let pin = 0; pin < 10_000; pin++) {
      const text = String(pin).padStart(4, '0');
      const body = joining(text);
      const { action } = body;
      const guesses = [
        text,
        JSON.stringify(text),
        canonicalText({ pin: text }),
        canonicalText(action.payload),
        canonicalText(action),
        JSON.stringify(body),
      ];
      for (const guess of guesses) {
        expect(digests.has(createHash('sha256').update(guess).digest('hex')), guess).toBe(false);
      }
    }
  });
});
