import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Json, JsonObject } from '../../daemon/formats/json.ts';
import type { Socket } from '../world.ts';

/* Secrets that are planted, where they are planted, and every form in which a file could hold one. */

/** Put together at run time, so that no scanner of repositories takes this file for a leak. */
export const TOKEN = ['AKIA', 'QX7ZJ2MWK4TPLN9D'].join('');
export const PASSWORD = ['password', '=Zq8vorpal'].join('');
export const PSK = 'Zr5 jabberwock psk';
export const PIN = '0451';
export const CREDENTIAL = 'Zt9-bandersnatch-credential';

export const SECRETS = [TOKEN, PASSWORD.slice(9), PSK, CREDENTIAL];

export const context = {
  actor: { id: 'agent:ops-1', role: 'agent' },
  environment: 'production',
  request_source: 'test',
  trace: { correlation_id: 'c-1', parent_id: 'p-1' },
  labels: { mission: 'relay' },
};
export const note = {
  action: {
    class: 'note',
    intent: 'take a note',
    target: { type: 'interface', id: 'wlan0' },
    payload: { text: 'words', words: ['more', 'words'] },
  },
  context,
};
export const joining = (pin: string) => ({
  action: {
    class: 'join',
    intent: 'join the relay net',
    target: { type: 'interface', id: 'wlan0' },
    payload: { psk: PSK, pin, key: 'credential:relay-key' },
  },
  context,
});

/** A request that is right, for each method that takes a body; the texts in it are where secrets are planted. */
export function templates(id: string, permit: string): { socket: Socket; path: string; body: JsonObject }[] {
  const person = { id: 'operator', role: 'L2' };
  const act = { act: '{"type":"holdfast/act/v1"}', signature: 'armor' };
  return [
    { socket: 'request', path: '/v1/decisions', body: note },
    { socket: 'gateway', path: '/v1/actions', body: note },
    { socket: 'gateway', path: '/v1/actions', body: { decision_id: id, context: { actor: context.actor } } },
    { socket: 'operator', path: `/v1/decisions/${id}/cancel`, body: { actor: person, reason: 'not needed' } },
    { socket: 'request', path: `/v1/decisions/${id}/approvals`, body: act },
    { socket: 'operator', path: `/v1/decisions/${id}/review`, body: { actor: person, note: 'fine' } },
    { socket: 'operator', path: `/v1/decisions/${id}/reconcile`, body: act },
    { socket: 'operator', path: `/v1/decisions/${id}/envelope`, body: { ...act, fields: ['pin'] } },
    {
      socket: 'operator',
      path: `/v1/decisions/${id}/disclose`,
      body: { fields: ['nothing'], reason: 'why', breakglass: 'bg_1', actor: person },
    },
    { socket: 'operator', path: '/v1/keys/envelope/rotate', body: { reason: 'why', actor: person } },
    { socket: 'operator', path: '/v1/keys/suspend', body: act },
    {
      socket: 'redeem',
      path: `/v1/permits/${permit}/outcome`,
      body: {
        audience: 'gateway',
        result: 'failed',
        detail: { exit_code: 1, signal: 'SIGTERM', reason: 'why' },
      },
    },
    {
      socket: 'redeem',
      path: `/v1/permits/${permit}/redeem`,
      body: { audience: 'gateway', action_digest: '0'.repeat(64) },
    },
    {
      socket: 'operator',
      path: '/v1/incidents',
      body: {
        actor: person,
        target: { type: 'door', id: 'north' },
        detail: 'somebody was there',
        evidence: { code: 'x', path: '/etc/x' },
      },
    },
    {
      socket: 'redeem',
      path: '/v1/incidents',
      body: {
        audience: 'gateway',
        cause: 'gateway_report',
        tool: 'digest',
        detail: 'what happened',
        evidence: { code: 'x' },
      },
    },
    { socket: 'operator', path: '/v1/policy/import', body: { path: '/nowhere/at/all', actor: 'operator' } },
    {
      socket: 'operator',
      path: '/v1/ledger/disclose',
      body: { right: 'raw', subject: { what: 'decision', decision_id: id }, reason: 'why', actor: person },
    },
    { socket: 'operator', path: '/v1/time/state', body: act },
  ];
}

/** Every copy of a body with one text replaced by the secret, and with the secret as the name of a member. */
export function planted(body: Json, secret: string): Json[] {
  if (typeof body === 'string') return [secret];
  if (Array.isArray(body)) {
    return body.flatMap((item, index) => planted(item, secret).map((changed) => body.with(index, changed)));
  }
  if (typeof body !== 'object' || body === null) return [];
  const inside = Object.entries(body).flatMap(([name, value]) =>
    planted(value, secret).map((changed) => ({ ...body, [name]: changed })),
  );
  return [...inside, { ...body, [secret]: 'x' }];
}

export const FORMS: [string, (secret: string) => string][] = [
  ['as it is', (secret) => secret],
  ['in words', (secret) => `please use ${secret} for it`],
  ['in base64', (secret) => Buffer.from(`use ${secret}`).toString('base64')],
];

/** Every form in which bytes of a file could hold it. */
export function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const base64 = [0, 1, 2].map((shift) =>
    // Inside a longer text the alignment is any of three; the borders depend on the neighbours.
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, -4),
  );
  return [
    secret,
    bytes.toString('hex'),
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    ...base64,
  ];
}

export function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name));
}
