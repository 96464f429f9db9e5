import { listAnomalies } from '../anomalies.ts';
import type { EngineState } from '../context.ts';
import type { EngineCall, EngineReply } from '../protocol.ts';
import { reply } from '../reply.ts';

const LISTED = 50;

/** `anomalies.list`: newest first; `next` is where the following page goes on, null behind the last. */
export function anomalyPage(state: EngineState, { args }: EngineCall): EngineReply {
  const before = args.before === undefined ? Number.MAX_SAFE_INTEGER : Number(args.before);
  const limit = args.limit === undefined ? LISTED : Number(args.limit);
  const anomalies = listAnomalies(state, before, limit);
  const next = anomalies.length === limit ? (anomalies.at(-1)?.record_id ?? null) : null;
  return reply(200, { anomalies, next });
}
