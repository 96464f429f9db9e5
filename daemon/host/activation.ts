import { BoundaryError } from '../formats/boundary-error.ts';

/** The first descriptor that a service manager hands over (sd_listen_fds(3), SD_LISTEN_FDS_START). */
const FIRST_FD = 3;
/** More sockets than any role of ours has. */
const MAX_FDS = 16;

/** What the service manager says to a process in its environment; `environ` is changed by those who read it. */
export type Environment = Record<string, string | undefined>;

/**
 * The listening sockets that this process was started with (socket activation, sd_listen_fds_with_names(3)), by the names that
 * their units give them (`FileDescriptorName=`). Empty when there are none. The variables are taken out of the environment, so
 * that no program started later takes them for its own. Throws BoundaryError `activation.*` for what does not fit `expected`:
 * a socket under a wrong name must not be served as another.
 */
export function takeSockets<Name extends string>(
  expected: readonly Name[],
  environ: Environment = process.env,
  pid: number = process.pid,
): ReadonlyMap<Name, number> {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environ;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete environ[name];
  const sockets = new Map<Name, number>();
  // Meant for another process: whoever started us forgot to take them out.
  if (LISTEN_FDS === undefined || LISTEN_PID !== String(pid)) return sockets;
  if (!/^(0|[1-9]\d?)$/.test(LISTEN_FDS) || Number(LISTEN_FDS) > MAX_FDS)
    throw wrong('activation.malformed', `LISTEN_FDS is ${JSON.stringify(LISTEN_FDS.slice(0, 20))}`);
  const names = (LISTEN_FDNAMES ?? '').split(':');
  for (let i = 0; i < Number(LISTEN_FDS); i++) {
    const given = names[i] ?? '';
    const name = expected.find((one) => one === given);
    if (name === undefined)
      throw wrong('activation.unknown_name', `one is called ${JSON.stringify(given.slice(0, 80))}`, expected);
    if (sockets.has(name)) throw wrong('activation.twice', `two are called ${name}`, expected);
    sockets.set(name, FIRST_FD + i);
  }
  return sockets;
}

function wrong(code: string, found: string, expected: readonly string[] = []): BoundaryError {
  const names = expected.length === 0 ? '' : ` Give each a FileDescriptorName=: ${expected.join(', ')}.`;
  return new BoundaryError(
    code,
    `The sockets that the service manager handed over cannot be used: ${found}. Nothing was started.${names}`,
    { at: 'LISTEN_FDNAMES' },
  );
}
