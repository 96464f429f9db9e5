import { Command } from 'commander';
import { type ActionBody, ApiProblem, type DecisionReply } from '../api/client.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { JsonObject } from '../formats/json.ts';
import { connect, openSite, requireActor, type Site, type SiteOptions } from './access.ts';
import { EXIT, endWith } from './exit.ts';
import { exitCodeOf as exitCodeOfStatus } from './failure.ts';
import { parseDecisionId } from './identifiers.ts';
import { renderDecision } from './render/decision.ts';
import { printJson, say } from './render/output.ts';
import { type ActionOptions, addActionOptions, exitCodeFor, requestBody } from './request.ts';

interface ExecOptions extends SiteOptions, ActionOptions {
  decision?: string;
}

/** What the gateway answers: the decision, and what became of the tool when it ran. */
interface Executed {
  decision: DecisionReply | null;
  outcome: { result: 'succeeded' | 'failed' | 'unknown'; detail: JsonObject } | null;
  output: { stdout: string; stderr: string; encoding?: string; truncated?: boolean } | null;
}

/** A tool may run for long; the gateway, not we, ends it. */
const TOOL_TIMEOUT_MS = 60 * 60_000;

const EXAMPLES = `
Examples:
  holdfast exec --class read_telemetry --intent 'morning check' --target sensor:pump-1 --env production
  holdfast exec --decision dec_01990000-… --actor agent:ops-1     run what was approved in the meantime

The tool's output is printed as it is; everything else goes to stderr.
Exit codes: 0 ran and succeeded · 3 refused, or the tool failed · 4 waiting for authority
  5 no answer could be had · 6 started, outcome unknown (holdfast decision reconcile)`;

/** `holdfast exec`: has the gateway decide, redeem, run the tool and report. */
export function execCommand(): Command {
  return addActionOptions(new Command('exec').description('Ask, and run the tool when allowed.'))
    .option('--decision <id>', 'run this decision, whose approvals came later', parseDecisionId)
    .addHelpText('after', EXAMPLES)
    .action(async (options: ExecOptions) => {
      const site = openSite(options);
      const client = connect(site, 'gateway');
      const key = options.idempotencyKey;
      const call = { timeoutMs: TOOL_TIMEOUT_MS, ...(key === undefined ? {} : { idempotencyKey: key }) };
      try {
        const executed = (await client.action(actionBody(options, site), call)) as unknown as Executed;
        report(executed, options);
        endWith(exitCodeOf(executed));
      } catch (error) {
        if (!(error instanceof ApiProblem) || error.body.decision === undefined) throw error;
        reportRefusal(error, options);
        endWith(exitCodeOfStatus(error.status));
      }
    });
}

function actionBody(options: ExecOptions, site: Site): ActionBody {
  if (options.decision === undefined) return requestBody(options, site);
  const given = (['class', 'intent', 'target', 'env', 'payload', 'link'] as const).filter(
    (name) => options[name],
  );
  if (given.length > 0) {
    throw new BoundaryError(
      'exec.both',
      `--decision runs exactly what was decided, so --${given.join(', --')} cannot be given with it. Nothing was run.`,
    );
  }
  const actor = { id: requireActor(options.actor, site), role: options.role ?? null };
  return { decision_id: options.decision, context: { actor } };
}

function report(executed: Executed, options: ExecOptions): void {
  if (options.json) {
    printJson(executed);
    return;
  }
  const { output, decision } = executed;
  if (output !== null) {
    const encoding = output.encoding === 'base64' ? 'base64' : 'utf8';
    process.stdout.write(Buffer.from(output.stdout, encoding));
    process.stderr.write(Buffer.from(output.stderr, encoding));
    if (output.truncated === true)
      say('holdfast: the output was longer than the policy lets through; it was cut.');
  }
  if (decision !== null) say(renderDecision(decision));
  if (executed.outcome === null) say('No tool was started.');
}

/** The gateway's answer when no tool was started: denied by the engine, or refused by the gateway itself. */
function reportRefusal(problem: ApiProblem, options: ExecOptions): void {
  if (options.json) {
    printJson(problem.body);
    return;
  }
  const decision = problem.body.decision as unknown as DecisionReply | null;
  if (decision !== null) say(renderDecision(decision));
  // A denial is the decision's own word and was just shown; a refusal of the gateway stands beside it.
  if (problem.code.startsWith('decision.')) say('No tool was started.');
  else say(`holdfast: ${problem.detail} [${problem.code}]`);
}

function exitCodeOf({ outcome, decision }: Executed): number {
  switch (outcome?.result) {
    case 'succeeded':
      return EXIT.done;
    case 'failed':
      return EXIT.refused;
    case 'unknown':
      return EXIT.unknownOutcome;
    default:
      // Nothing ran. Allowed without an outcome would be a defect of the gateway; it must not look like success.
      return decision === null ? EXIT.refused : exitCodeFor(decision.status) || EXIT.bug;
  }
}
