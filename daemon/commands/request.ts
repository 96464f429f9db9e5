import { Command } from 'commander';
import type { ApiClient, DecisionReply, DecisionRequestBody } from '../api/client.ts';
import type { DecisionStatus } from '../core/decision.ts';
import {
  actorOf,
  connect,
  openSite,
  parsePayload,
  parseTarget,
  parseWait,
  type Site,
  type SiteOptions,
} from './access.ts';
import { EXIT, endWith } from './exit.ts';
import { parseDecisionId } from './identifiers.ts';
import { assertFree } from './new-file.ts';
import { writePermitFile } from './permit-file.ts';
import { renderDecision } from './render/decision.ts';
import { print, printJson, say } from './render/output.ts';

/** What describes an action on the command line; shared by `request` and `exec`. */
export interface ActionOptions {
  class?: string;
  intent?: string;
  target?: string;
  env?: string;
  payload?: string;
  actor?: string;
  role?: string;
  correlation?: string;
  idempotencyKey?: string;
  link?: string;
}

interface RequestOptions extends SiteOptions, ActionOptions {
  wait?: string;
  permitOut?: string;
}

const EXAMPLES = `
Examples:
  holdfast request --class restart_service --intent 'recover the telemetry relay' \\
    --target service:relay-2 --payload '{"grace_seconds":5}' --env production --actor agent:ops-1
  holdfast request … --wait 30s --permit-out relay.permit   wait for approvals, keep the permit

Exit codes: 0 allowed · 3 denied · 4 waiting for authority · 5 no answer could be had`;

/** `holdfast request`: asks for a decision; runs nothing. */
export function requestCommand(): Command {
  return addActionOptions(new Command('request').description('Ask for a decision. Nothing is run.'))
    .option('--wait <duration>', 'wait for approvals, e.g. 30s (at most 60s)', parseWait)
    .option('--permit-out <file>', 'write the permit to a file when allowed')
    .addHelpText('after', EXAMPLES)
    .action(async (options: RequestOptions) => {
      if (options.permitOut !== undefined) assertFree(options.permitOut);
      const site = openSite(options);
      const client = connect(site, 'request');
      const decision = await ask(client, site, options);
      const permitFile =
        options.permitOut === undefined ? undefined : writePermitFile(options.permitOut, decision);
      if (options.json) printJson(decision);
      else print(renderDecision(decision, permitFile));
      endWith(exitCodeFor(decision.status));
    });
}

function ask(client: ApiClient, site: Site, options: RequestOptions): Promise<DecisionReply> {
  return client.createDecision(requestBody(options, site), {
    ...(options.wait === undefined ? {} : { wait: options.wait }),
    ...(options.idempotencyKey === undefined ? {} : { idempotencyKey: options.idempotencyKey }),
  });
}

/** The options that name an action, on a command. */
export function addActionOptions(command: Command): Command {
  return command
    .option('--class <class>', 'action class of the active policy')
    .option('--intent <text>', 'why, in your words')
    .option('--target <type:id>', 'what it acts on, e.g. service:relay-2')
    .option('--env <environment>', 'environment (none named: treated as production)')
    .option('--payload <json>', 'JSON object, or @FILE')
    .option('--actor <id>', 'who asks (default: $HOLDFAST_ACTOR, else the site’s operator_actor)')
    .option('--role <role>', 'role acted in')
    .option('--correlation <id>', 'your own id for tracing')
    .option('--idempotency-key <key>', 'a retry with the same key gets the first answer')
    .option('--link <id>', 'earlier decision that this one re-evaluates', parseDecisionId);
}

/** The request in the wire's words. What is not given is left out: the engine records and judges its absence. */
export function requestBody(
  options: ActionOptions,
  site: Site,
): DecisionRequestBody & Required<Pick<DecisionRequestBody, 'action' | 'context'>> {
  const actor = actorOf(options.actor, site);
  if (actor === null) {
    say('holdfast: no actor named (--actor or HOLDFAST_ACTOR): the request is recorded and denied.');
  }
  return {
    action: {
      class: options.class ?? null,
      intent: options.intent ?? null,
      target: options.target === undefined ? null : parseTarget(options.target),
      payload: parsePayload(options.payload),
    },
    context: {
      actor: { id: actor, role: options.role ?? null },
      environment: options.env ?? null,
      request_source: 'cli',
      trace: { correlation_id: options.correlation ?? null, parent_id: null },
    },
    ...(options.link === undefined ? {} : { linked_to: options.link }),
  };
}

/** Exit code that says what became of a decision: allowed, refused, or still waiting. */
export function exitCodeFor(status: DecisionStatus): number {
  if (status === 'authorized' || status === 'executed' || status === 'reviewed') return EXIT.done;
  if (status === 'denied' || status === 'expired' || status === 'cancelled') return EXIT.refused;
  return EXIT.pending;
}
