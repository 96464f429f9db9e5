import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { type Check, fail, type Patient, pass, unknown, warn } from './check.ts';

const UNITS = { daemon: 'holdfast-daemon.service', gateway: 'holdfast-gateway.service' } as const;
const PROPERTIES = ['LoadState', 'ActiveState', 'MainPID', 'User', 'FragmentPath'];
const ASK_MS = 5_000;

/** What systemd says about a unit; null where there is no systemd to ask. */
export type AskUnit = (unit: string) => Readonly<Record<string, string>> | null;
/** Text of `/proc/PID/status`; null where it cannot be read. */
export type AskProcess = (pid: number) => string | null;

/**
 * Whether the roles run in the sandbox of their units: as systemd started them, and as the kernel says of the processes
 * themselves. A unit file that promises it is no proof.
 */
export function checkSandbox(
  { site: { config }, status }: Patient,
  askUnit: AskUnit = systemctl,
  askProcess: AskProcess = procStatus,
): Check[] {
  const roles = (['daemon', 'gateway'] as const).filter((role) => status[role] !== null);
  return roles.flatMap((role): Check[] => {
    const id = `sandbox.${role}`;
    const unit = askUnit(UNITS[role]);
    if (unit?.ActiveState === 'active') return [inUnit(id, role, unit, askProcess)];
    if (config.profile === 'dev') return [];
    const how = 'Install the package, stop this process, then: systemctl enable --now holdfast.target';
    if (unit === null)
      return [unknown(id, `there is no systemd here that could say how the ${role} is shut in`, how)];
    const found = `the ${role} runs, but not in its unit ${UNITS[role]}: nothing shuts it in`;
    return [(config.profile === 'appliance' ? fail : warn)(id, found, how)];
  });
}

function inUnit(
  id: string,
  role: string,
  { MainPID = '0', User = '' }: Readonly<Record<string, string>>,
  askProcess: AskProcess,
): Check {
  const text = askProcess(Number(MainPID));
  const edit = `See what was changed: systemctl cat ${UNITS[role as keyof typeof UNITS]}; take drop-ins away that weaken it, then restart it.`;
  if (text === null)
    return unknown(id, `/proc/${MainPID}/status cannot be read by this account`, 'Run doctor as root.');
  const value = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1] ?? '';
  const wrong = [
    value('NoNewPrivs') === '1' ? '' : 'it may gain privileges (NoNewPrivs)',
    value('Seccomp') === '2' ? '' : 'no filter stands between it and the kernel (Seccomp)',
    /^0+$/.test(value('CapEff')) ? '' : `it has capabilities (CapEff ${value('CapEff')})`,
    value('Uid') === '0' ? 'it runs as root' : '',
  ].filter((words) => words !== '');
  if (wrong.length > 0) return fail(id, `process ${MainPID} of the ${role}: ${wrong.join('; ')}`, edit);
  const found = `process ${MainPID}, user ${User === '' ? value('Uid') : User}: no new privileges, system calls filtered, no capabilities`;
  return pass(id, found);
}

/** Properties of a unit. Asks by argument list, with an end to its patience; no shell. */
function systemctl(unit: string): Readonly<Record<string, string>> | null {
  if (!existsSync('/run/systemd/system')) return null;
  const args = ['show', unit, ...PROPERTIES.map((name) => `--property=${name}`)];
  const { status, stdout } = spawnSync('systemctl', args, {
    encoding: 'utf8',
    timeout: ASK_MS,
    maxBuffer: 65_536,
    shell: false,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  if (status !== 0) return null;
  return Object.fromEntries(
    stdout.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
    }),
  );
}

function procStatus(pid: number): string | null {
  try {
    return pid > 0 ? readFileSync(`/proc/${pid}/status`, 'utf8') : null;
  } catch {
    return null;
  }
}
