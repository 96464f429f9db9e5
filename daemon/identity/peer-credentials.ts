import { connect, createServer, type Server, type Socket } from 'node:net';
import koffi from 'koffi';
import { randomBytes } from '../host/random.ts';

/*
 * Asks the C library directly which local user is on the other end of a Unix socket, by the kernel's word (SO_PEERCRED,
 * unix(7)). The descriptor comes from a member of node's sockets that is not documented, so it is tried out at start, and
 * nobody is identified by a uid when it does not work.
 */

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const UCRED_BYTES = 12;

/** The kernel's word about peers. */
export interface PeerCredentials {
  /** The uid of the process that connected; null where it cannot be had. */
  uidOf(socket: Socket): number | null;
  /** Why no uid can be had on this machine; null when it works. */
  readonly trouble: string | null;
}

/** Opens the way to the kernel's word and tries it on a connection to itself. Never throws: without it there are no uids. */
export async function openPeerCredentials(): Promise<PeerCredentials> {
  try {
    const uidOf = bind();
    const own = process.geteuid?.() ?? null;
    const seen = await tryOut(uidOf);
    if (seen === own && own !== null) return { uidOf, trouble: null };
    return none(`asked about a connection to itself, it said ${seen === null ? 'nothing' : `user ${seen}`}`);
  } catch (error) {
    return none(error instanceof Error ? error.message : String(error));
  }
}

function none(why: string): PeerCredentials {
  return { uidOf: () => null, trouble: `the kernel's word on callers (SO_PEERCRED) cannot be had: ${why}` };
}

function bind(): PeerCredentials['uidOf'] {
  if (process.platform !== 'linux') throw new Error(`this is ${process.platform}, not Linux`);
  const ucred = koffi.struct({ pid: 'int32_t', uid: 'uint32_t', gid: 'uint32_t' });
  const getsockopt = koffi
    .load(null)
    .func('getsockopt', 'int', [
      'int',
      'int',
      'int',
      koffi.out(koffi.pointer(ucred)),
      koffi.inout('uint32_t *'),
    ]);
  return (socket) => {
    const fd = descriptorOf(socket);
    if (fd === null) return null;
    const credentials: { uid?: unknown } = {};
    const length = [UCRED_BYTES];
    const failed: unknown = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length);
    if (failed !== 0 || length[0] !== UCRED_BYTES) return null;
    return typeof credentials.uid === 'number' ? credentials.uid : null;
  };
}

/** `socket._handle.fd`, which node does not promise. */
function descriptorOf(socket: Socket): number | null {
  const handle: unknown = '_handle' in socket ? socket._handle : null;
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return null;
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : null;
}

/** What is said about a connection to a socket of our own, which nobody else can reach by its name in time. */
async function tryOut(uidOf: PeerCredentials['uidOf']): Promise<number | null> {
  const server = createServer();
  // A name without a file (unix(7), "abstract"): it vanishes with the server.
  const name = `\0holdfast-${Buffer.from(randomBytes(16)).toString('hex')}`;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(name, resolve);
  });
  try {
    return await firstCaller(server, name, uidOf);
  } finally {
    server.close();
  }
}

function firstCaller(server: Server, name: string, uidOf: PeerCredentials['uidOf']): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const client = connect(name);
    client.once('error', reject);
    server.once('connection', (socket) => {
      resolve(uidOf(socket));
      socket.destroy();
      client.destroy();
    });
  });
}
