import type { Method } from './method.ts';
import * as reply from './replies.ts';
import * as schema from './schemas.ts';

/** Rows of the method table about keys and who holds them. */
export const KEY_METHODS: readonly Method[] = [
  {
    name: 'keys.suspend',
    kind: 'engine',
    summary: 'Submit a signed act that suspends a key or a principal at once. It can only narrow.',
    sockets: ['request', 'operator'],
    http: { verb: 'POST', path: '/v1/keys/suspend' },
    body: schema.SignedActBody,
    reply: reply.Anything,
  },
  {
    name: 'keys.suspended',
    kind: 'engine',
    summary: 'The keys and principals that are suspended at this site, oldest first.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/keys/suspended' },
    reply: reply.Anything,
  },
  {
    name: 'ledger.keys',
    kind: 'engine',
    summary:
      'The keys of the ledger: the one in use, since when, and which checkpoints each one signed; and what is known of the envelope key.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/keys/ledger' },
    reply: reply.Anything,
  },
  {
    name: 'ledger.rotate_key',
    kind: 'engine',
    summary:
      'Make a new ledger key. The entry is signed by the old one and the new, and the old one destroyed.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/keys/ledger/rotate' },
    body: schema.RotateBody,
    reply: reply.Anything,
  },
  {
    name: 'envelopes.rotate',
    kind: 'engine',
    summary:
      'Make a new envelope key; what lies under the old one is wrapped anew, and the old one destroyed.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/keys/envelope/rotate' },
    body: schema.RotateBody,
    reply: reply.Anything,
  },
];
