import { Type } from 'typebox';
import { UUIDV7 } from '../formats/identifier.ts';
import { parseTilePath } from '../formats/tile.ts';
import { Cosigned } from './cosignature-methods.ts';
import type { Method } from './method.ts';
import * as reply from './replies.ts';
import { DecisionId, Environment, Index, Limit, Read } from './schemas.ts';

/*
 * Rows of the method table about reading what the ledger holds.
 */

const closed = { additionalProperties: false } as const;
const position = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** C2SP tlog-tiles names a tile by its path, the engine by level, number and width. */
function tileArgs({ path = '', ...query }: Record<string, string>): Record<string, string> {
  const { level, n, width } = parseTilePath(`tile/${path}`);
  return { ...query, level: level === null ? 'entries' : String(level), n: String(n), width: String(width) };
}

const DisclosureBody = Type.Object(
  {
    right: Type.Union([Type.Literal('raw'), Type.Literal('export')]),
    subject: Type.Object(
      {
        what: Type.String({
          pattern: '^[a-z][a-z_-]{0,31}$',
          description: 'decision, entries, evidence, tiles',
        }),
        decision_id: Type.Optional(DecisionId),
        from: Type.Optional(position),
        size: Type.Optional(position),
      },
      closed,
    ),
    reason: Type.String({ minLength: 1, maxLength: 2_000, description: 'why, in words; it is recorded' }),
    breakglass: Type.Optional(Type.String({ pattern: `^bg_${UUIDV7}$`, description: 'an open session' })),
    actor: Type.Optional(
      Type.Object(
        {
          id: Type.String({ minLength: 1, maxLength: 128 }),
          role: Type.Optional(Type.Union([Type.Null(), Type.String({ maxLength: 64 })])),
        },
        closed,
      ),
    ),
  },
  closed,
);

const term = (maxLength: number, description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength, description }));
const instant = (description: string) =>
  Type.Optional(
    Type.String({
      pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,3})?Z$',
      description,
    }),
  );
const SearchQuery = Type.Object(
  {
    q: term(200, 'words that all occur in intent, reason, note, target or class; never in a payload'),
    type: Type.Optional(
      Type.String({ pattern: '^[a-z]+\\.[a-z_]+$', maxLength: 64, description: 'entry type' }),
    ),
    stream: term(255, 'dec_…, policy, reading, …'),
    about: term(255, 'id of a decision, session, incident, …: its entries, and others that name it'),
    actor: term(128, 'who caused the entry, or asked for its decision'),
    class: term(64, 'action class'),
    target: term(600, 'TYPE:ID'),
    environment: Type.Optional(Environment),
    result: term(64, 'state that a decision went into, outcome, or answer of an act'),
    since: instant('not before; RFC 3339 in UTC'),
    until: instant('not after; RFC 3339 in UTC'),
    order: Type.Optional(Type.Union([Type.Literal('newest'), Type.Literal('oldest')])),
    limit: Type.Optional(Limit),
    after: Type.Optional(
      Type.String({ pattern: '^[no](0|[1-9][0-9]{0,14})$', description: '`next` of a page' }),
    ),
  },
  closed,
);

export const READING_METHODS: readonly Method[] = [
  {
    name: 'ledger.search',
    kind: 'host',
    summary:
      'Entries that match, newest first unless told otherwise, without payloads. A page may be short or empty and still have a next one.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/ledger/search' },
    query: SearchQuery,
    reply: reply.Anything,
  },
  {
    name: 'ledger.disclose',
    kind: 'engine',
    summary:
      'Put a read of payload values, or an export, on record. To be called before anything of it is shown: no record, no reading.',
    sockets: ['operator'],
    http: { verb: 'POST', path: '/v1/ledger/disclose' },
    body: DisclosureBody,
    reply: reply.Anything,
  },
  {
    name: 'ledger.checkpoint',
    kind: 'engine',
    summary: 'The newest signed checkpoint (C2SP tlog-checkpoint).',
    sockets: ['redeem', 'operator'],
    http: { verb: 'GET', path: '/v1/ledger/checkpoint' },
    query: Type.Object({ cosigned: Type.Optional(Cosigned) }, closed),
    reply: 'text',
  },
  {
    name: 'ledger.tile',
    kind: 'engine',
    summary: 'A Merkle tile or entry bundle (C2SP tlog-tiles); the prefix of the log is /v1/ledger.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/ledger/tile/{path+}' },
    path: Type.Object(
      { path: Type.String({ maxLength: 64, description: 'L/N[.p/W] or entries/N[.p/W]' }) },
      closed,
    ),
    query: Type.Object({ read: Type.Optional(Read) }, closed),
    args: tileArgs,
    reply: 'bytes',
  },
  {
    name: 'ledger.entries',
    kind: 'engine',
    summary: 'Entries in ledger order.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/ledger/entries' },
    query: Type.Object(
      {
        from: Type.Optional(Index),
        limit: Type.Optional(Limit),
        read: Type.Optional(Read),
      },
      closed,
    ),
    reply: reply.Entries,
  },
  {
    name: 'ledger.proof',
    kind: 'engine',
    summary: 'An entry with its inclusion proof and checkpoint (C2SP tlog-proof).',
    sockets: ['redeem', 'operator'],
    http: { verb: 'GET', path: '/v1/ledger/proof/{index}' },
    path: Type.Object({ index: Index }, closed),
    query: Type.Object({ cosigned: Type.Optional(Cosigned), read: Type.Optional(Read) }, closed),
    reply: 'text',
  },
];
