import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject } from '../../formats/json.ts';
import { runsInUnits, startWords } from '../start-words.ts';
import { type Check, fail, type Patient, pass, warn } from './check.ts';

const DAEMON_SOCKETS = ['request', 'redeem', 'operator'];

/** Whether the processes run, answer, and are open to nobody else. */
export function checkProcesses(patient: Patient): Check[] {
  const { daemon, gateway } = patient.status;
  return [
    alive(patient, 'daemon', 'Nothing can be decided.'),
    alive(patient, 'gateway', 'Nothing can be executed.'),
    ...[...(daemon === null ? [] : DAEMON_SOCKETS), ...(gateway === null ? [] : ['gateway'])].map((name) =>
      checkSocket(patient, name),
    ),
    ...checkRuntime(),
    ...(gateway === null ? [] : checkGateway(gateway)),
  ];
}

function alive({ site, status, forbidden = [] }: Patient, role: 'daemon' | 'gateway', effect: string): Check {
  if (status[role] !== null) return pass(`process.${role}`, `the ${role} answers`);
  // A failure all the same: nobody who reads only the exit code may take this for a site that is well.
  if (forbidden.includes(role))
    return fail(
      `process.${role}`,
      `this account may not ask the ${role}, so it is not known whether it runs`,
      `Run doctor as root or as the account of the ${role}, or join its group.`,
    );
  const fix = `Start it with: ${startWords([role], site.paths.root)}`;
  return fail(`process.${role}`, `the ${role} does not answer. ${effect}`, fix);
}

function checkSocket({ site }: Patient, name: string): Check {
  const path = join(site.paths.run, `${name}.sock`);
  const mode = lstatSync(path, { throwIfNoEntry: false })?.mode;
  const id = `socket.${name}`;
  if (mode === undefined) return fail(id, `${path} is gone while its process runs`, 'Restart the process.');
  if ((mode & 0o007) === 0) return pass(id, `${name}.sock is open to its own account and group only`);
  const fix = runsInUnits(site.paths.root)
    ? `Find what changed SocketMode=0660: systemctl cat holdfast-${name}.socket; then systemctl restart holdfast-${name}.socket`
    : 'Set /sockets/mode in holdfast.json to "0660" and restart.';
  return fail(id, `every account of this machine may use ${name}.sock`, fix);
}

/** The runtime that everything was tested with. */
const NODE_MAJOR = 24;

function checkRuntime(): Check[] {
  const major = Number(process.versions.node.split('.')[0]);
  if (major === NODE_MAJOR) return [pass('runtime.node', `Node ${process.versions.node}`)];
  const fix = `Run it with the Node ${NODE_MAJOR} that comes with it.`;
  return [fail('runtime.node', `Node ${process.versions.node}, which nothing was tested with`, fix)];
}

function checkGateway({ unreported, unheard, recovered }: JsonObject): Check[] {
  const checks: Check[] = [];
  if (typeof unreported === 'number' && unreported > 0)
    checks.push(
      warn(
        'gateway.unreported',
        `${unreported} outcomes are not yet with the daemon`,
        'They are told again by themselves; see that the daemon runs.',
      ),
    );
  if (typeof unheard === 'number' && unheard > 0)
    checks.push(
      fail(
        'gateway.unheard',
        `${unheard} findings of the gateway are not yet with the daemon`,
        "Read the gateway's log now: it found something changed. Start the daemon, so that it becomes an incident.",
      ),
    );
  if (recovered === false)
    checks.push(
      warn(
        'gateway.recovering',
        'it has not yet agreed with the daemon what a crash left open',
        'It asks each second: see that the daemon runs. If it stays so, read the log of the gateway.',
      ),
    );
  return checks.length > 0 ? checks : [pass('gateway.backlog', 'the gateway has nothing left to tell')];
}
