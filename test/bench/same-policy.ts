import { request } from 'node:http';
import type { Cerbos } from './cerbos.ts';
import { checkRequest } from './cerbos.ts';
import { makeForbidden } from './questions.ts';
import { ALLOWED, DECISIONS_PATH } from './site.ts';

/**
 * Asks our daemon and Cerbos what each gate alone forbids. Throws unless both say no every time: a comparison with a
 * policy that skips a gate would mean nothing. (What is allowed is checked by every answer of the load.)
 */
export async function checkSamePolicy(socket: string, cerbos: Cerbos | null): Promise<void> {
  for (const { gate, question } of makeForbidden()) {
    const ours = await ask(socket, DECISIONS_PATH, question);
    if (ours.includes(ALLOWED) || !ours.includes('"result":"deny"'))
      throw new Error(`${gate}: we said ${ours}`);
    if (cerbos === null) continue;
    const theirs = await ask(cerbos.socket, cerbos.path, checkRequest(question, 0));
    if (!theirs.includes('"EFFECT_DENY"')) throw new Error(`${gate}: Cerbos said ${theirs}`);
  }
}

function ask(socketPath: string, path: string, body: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const asked = request({ socketPath, path, method: 'POST', headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    asked.on('error', reject);
    asked.end(JSON.stringify(body));
  });
}
