import { Type } from 'typebox';
import type { Method } from './method.ts';
import * as reply from './replies.ts';
import * as schema from './schemas.ts';

/** Rows of the method table about what is out of the ordinary. */
export const ANOMALY_METHODS: readonly Method[] = [
  {
    name: 'anomalies.list',
    kind: 'engine',
    summary: 'What was out of the ordinary about approvals and limits, newest first.',
    sockets: ['operator'],
    http: { verb: 'GET', path: '/v1/anomalies' },
    query: Type.Object(
      { before: Type.Optional(schema.Index), limit: Type.Optional(schema.Limit) },
      { additionalProperties: false },
    ),
    reply: reply.Anything,
  },
];
