import { setTimeout as pause } from 'node:timers/promises';
import { BoundaryError } from '../formats/boundary-error.ts';
import type { Environment } from './activation.ts';

/*
 * What a service tells its manager (sd_notify(3)): datagrams to the Unix socket that NOTIFY_SOCKET names. Node has no such
 * sockets, and a program started for each message would have to be believed too, so the C library is asked directly.
 */

/** unix(7), send(2): the same numbers on every Linux processor of ours. */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Longest name that fits `sun_path`; one that is a path ends with a NUL on top. */
const NAME_MAX = 107;
/** A queue that is full now is looked at again; `READY=1` must arrive. */
const TRIES = 50;
const BETWEEN_MS = 100;
/** What a line of `systemctl status` shows of it. */
const STATUS_MAX = 200;

/** Whoever supervises this process. Nothing here throws or waits for long once it is open. */
export interface ServiceManager {
  /** How long it waits for a sign of life before it ends this process, in ms; null: it does not. */
  readonly watchdogMs: number | null;
  /** Start-up is over. Resolves with whether that was delivered. */
  ready(status: string): Promise<boolean>;
  /** One line for people. */
  status(text: string): void;
  alive(): void;
  stopping(): void;
}

const NOBODY: ServiceManager = {
  watchdogMs: null,
  ready: () => Promise.resolve(true),
  status: () => {},
  alive: () => {},
  stopping: () => {},
};

/**
 * The manager that the environment names; one that does nothing when it names none. The variables are taken out, so that no
 * tool started later can speak for this process. Throws BoundaryError `notify.malformed`; rejects when the C library cannot be used.
 */
export async function openServiceManager(
  environ: Environment = process.env,
  pid: number = process.pid,
): Promise<ServiceManager> {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = environ;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environ[name];
  if (NOTIFY_SOCKET === undefined || NOTIFY_SOCKET === '') return NOBODY;
  const send = await openDatagrams(notifyAddress(NOTIFY_SOCKET));
  const watched = WATCHDOG_PID === undefined || WATCHDOG_PID === String(pid);
  return {
    watchdogMs: watched ? watchdogMs(WATCHDOG_USEC) : null,
    ready: async (status) => {
      for (let i = 0; i < TRIES; i++) {
        if (send(`READY=1\n${statusLine(status)}`)) return true;
        await pause(BETWEEN_MS);
      }
      return false;
    },
    status: (text) => void send(statusLine(text)),
    alive: () => void send('WATCHDOG=1'),
    stopping: () => void send(`STOPPING=1\n${statusLine('stopping')}`),
  };
}

/** `struct sockaddr_un` of a path, or of an abstract name (`@…`): that one begins with a NUL and ends with its length. */
export function notifyAddress(name: string): Uint8Array {
  const abstract = name.startsWith('@');
  const bytes = new TextEncoder().encode(name);
  if (!(abstract || name.startsWith('/')) || bytes.length > NAME_MAX || bytes.includes(0) || bytes.length < 2)
    throw new BoundaryError(
      'notify.malformed',
      `NOTIFY_SOCKET is neither an absolute path nor @NAME of at most ${NAME_MAX} bytes; nothing was started. The service manager sets it; unset it to run without one.`,
      { at: 'NOTIFY_SOCKET' },
    );
  const address = new Uint8Array(2 + bytes.length + (abstract ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, 2);
  if (abstract) address[2] = 0;
  return address;
}

function watchdogMs(usec: string | undefined): number | null {
  if (usec === undefined || !/^[1-9]\d{0,15}$/.test(usec)) return null;
  return Number(usec) / 1_000;
}

/** One line, whatever it was made of. */
function statusLine(text: string): string {
  return `STATUS=${text.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, STATUS_MAX)}`;
}

/** Sends one datagram to `address`; false when it was not taken. */
async function openDatagrams(address: Uint8Array): Promise<(text: string) => boolean> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load(null);
  const socket = library.func('socket', 'int', ['int', 'int', 'int']);
  const sendto = library.func('sendto', 'intptr_t', [
    'int',
    'const void *',
    'size_t',
    'int',
    'const void *',
    'uint32_t',
  ]);
  const fd = Number(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0)
    throw new BoundaryError(
      'notify.no_socket',
      `No socket to the service manager could be made (error ${koffi.errno()}); nothing was started. Units need RestrictAddressFamilies=AF_UNIX.`,
      { at: 'NOTIFY_SOCKET' },
    );
  return (text) => {
    const bytes = new TextEncoder().encode(text);
    const sent = Number(
      sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length),
    );
    return sent === bytes.length;
  };
}
