/** What both systems are asked: may this agent read this telemetry? The answer is yes, at once. */
export interface Question {
  action: {
    class: string;
    intent: string;
    target: { type: string; id: string };
    payload: { metrics: string[]; window_seconds: number; samples_per_second: number };
  };
  context: {
    actor: { id: string; role: string };
    environment: string;
    request_source: string;
    trace: { correlation_id: string; parent_id: string | null };
    labels: { tenant: string; mission: string };
  };
}

/** A number of different questions, so that no server can answer from the last one. */
export function makeQuestions(count: number): Question[] {
  return Array.from({ length: count }, (_, at) => ({
    action: {
      class: 'read_telemetry',
      intent: 'hourly check of the relay before the pass',
      target: { type: 'sensor', id: `relay-${at}` },
      payload: {
        metrics: ['temperature', 'voltage', 'uptime'],
        window_seconds: 600 + at,
        samples_per_second: 10,
      },
    },
    context: {
      actor: { id: 'agent:ops-1', role: 'agent' },
      environment: 'production',
      request_source: 'scheduler',
      trace: { correlation_id: `pass-${4_000 + at}`, parent_id: null },
      labels: { tenant: 'north', mission: 'survey-3' },
    },
  }));
}

/** One question per gate that this gate alone answers with no, by the gate's id: both policies must say so. */
export function makeForbidden(): { gate: string; question: Question }[] {
  const [base] = makeQuestions(1) as [Question];
  const { action, context } = base;
  const asks = (payload: Partial<Question['action']['payload']>): Question => ({
    action: { ...action, payload: { ...action.payload, ...payload } },
    context,
  });
  const from = (changed: Partial<Question['context']>): Question => ({
    action,
    context: { ...context, ...changed },
  });
  return [
    { gate: 'known-reader', question: from({ actor: { ...context.actor, role: 'visitor' } }) },
    { gate: 'reader-is-named', question: from({ actor: { ...context.actor, id: 'ops-1' } }) },
    { gate: 'known-source', question: from({ request_source: 'elsewhere' }) },
    { gate: 'window-is-bounded', question: asks({ window_seconds: 3_601, samples_per_second: 1 }) },
    { gate: 'sample-budget', question: asks({ window_seconds: 3_600, samples_per_second: 11 }) },
    { gate: 'metrics-are-public', question: asks({ metrics: ['temperature', 'position'] }) },
    { gate: 'traced-in-production', question: from({ trace: { correlation_id: '', parent_id: null } }) },
    { gate: 'stays-with-its-tenant', question: from({ labels: { tenant: 'south', mission: 'survey-3' } }) },
  ];
}
