import { accessSync, constants, statSync } from 'node:fs';
import { ApiProblem } from '../../api/client.ts';
import type { Bundle, BundleTool } from '../../core/bundle.ts';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { Programs } from '../../gateway/programs.ts';
import { loadBundle } from '../bundle-reference.ts';
import { type Check, fail, type Patient, pass, warn } from './check.ts';

/** Whether what the policy in force would run is there, can be run, and is the program that it pins. */
export async function checkTools({ site, daemon, status }: Patient): Promise<Check[]> {
  if (daemon === null || status.daemon === null) return [];
  const checks: Check[] = [];
  for (const environment of environmentsIn(status.daemon.policy)) {
    try {
      const { compiled } = await loadBundle(`active:${environment}`, { dir: site.paths.root });
      checks.push(...toolsOf(compiled.bundle, environment));
    } catch (error) {
      if (!(error instanceof BoundaryError || error instanceof ApiProblem)) throw error;
      checks.push(warn(`tools.${environment}`, error.message, 'Import the policy again from its medium.'));
    }
  }
  return checks;
}

/** Environments that run the same bundle have the same tools: one of them speaks for all. */
function environmentsIn(policy: unknown): string[] {
  const { environments = [] } = (policy ?? {}) as {
    environments?: { environment: string; digest: string }[];
  };
  const first = environments.filter(
    ({ digest }, at) => environments.findIndex((other) => other.digest === digest) === at,
  );
  return first.map(({ environment }) => environment);
}

function toolsOf(bundle: Bundle, environment: string): Check[] {
  const programs = new Programs();
  const tools = Object.entries(bundle.tools);
  const wrong = tools.flatMap(([name, tool]) => problemOf(name, tool, programs, environment));
  const unpinned = tools.filter(([, tool]) => tool.connector === 'exec' && tool.sha256 === undefined).length;
  const found = `${tools.length} tools of ${environment}, ${unpinned} of them programs without a pinned digest`;
  return wrong.length > 0 ? wrong : [pass(`tools.${environment}`, found)];
}

function problemOf(name: string, tool: BundleTool, programs: Programs, environment: string): Check[] {
  const id = `tools.${environment}`;
  if (tool.connector === 'http') return socketOf(id, name, tool.address);
  const [program = ''] = tool.argv;
  if (!isExecutable(program))
    return [
      warn(
        id,
        `${program} of the tool ${name} is not there, or this account may not run it`,
        'Install it, or let policy name another; until then its actions fail.',
      ),
    ];
  const change = programs.check(name, tool);
  if (change === null) return [];
  const fix =
    'Put the program back that the policy pins, or have headquarters pin the new one. The gateway does not run it.';
  return [fail(id, `${program} of the tool ${name} is not the program that the policy pins`, fix)];
}

function socketOf(id: string, name: string, address: string): Check[] {
  const path = /^unix:(\/.+)$/.exec(address)?.[1];
  if (path === undefined || statSync(path, { throwIfNoEntry: false })?.isSocket() === true) return [];
  return [warn(id, `nothing listens at ${path}, where the tool ${name} is`, 'Start the service behind it.')];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
