import type { EngineHandle, Peer } from '../engine/protocol.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { certificateRefusal } from '../identity/callers.ts';
import type { Register } from '../identity/register.ts';
import type { Admit, HostServices } from './dispatch.ts';
import { problem, problemOf, problemReply } from './problem.ts';

/** Who asks for a certificate in place of the one that it shows. */
export interface Renewal {
  spiffe_id: string;
  fingerprint: string;
  csr: string;
}

/** What the daemon's process knows about certificates. */
export interface PeerParts {
  engine: EngineHandle;
  /** The certificates that were given out; null at a site without an authority. */
  register: Register | null;
  /** Certifies a new key. Throws BoundaryError `csr.malformed`. */
  renew(renewal: Renewal): Promise<{ certificate: string; authority: string }>;
}

/** Has the engine judge a peer: the bundles in force at this moment say who it is and what it may do. */
export function admitBy(engine: EngineHandle): Admit {
  return (peer, method, actor) =>
    engine.call({
      method: 'peers.admit',
      args: { method, ...(actor === null ? {} : { actor }) },
      body: null,
      key: null,
      peer,
    });
}

/** `peers.identify` and `tls.renew`. */
export function peerServices({ engine, register, renew }: PeerParts): HostServices {
  const admit = admitBy(engine);
  return {
    'peers.identify': ({ body }) => {
      const { uid, spiffe_id, certificate, method, actor } = body as unknown as Identify;
      const refusal =
        certificate === undefined || register === null ? null : certificateRefusal(register, certificate);
      if (refusal !== null)
        return Promise.resolve(
          problemReply(problem('peer.certificate_refused', `${refusal} Nothing was done.`)),
        );
      const peer: Peer = {
        socket: 'gateway',
        uid,
        ...(spiffe_id === undefined ? {} : { spiffe_id }),
        ...(certificate === undefined ? {} : { certificate }),
      };
      return admit(peer, method, actor ?? null);
    },
    'tls.renew': async ({ body, peer }) => {
      const { csr } = body as { csr: string };
      const { spiffe_id, certificate } = peer;
      if (spiffe_id === undefined || certificate === undefined) {
        const detail = 'this connection showed no certificate, so there is none to renew; nothing was issued';
        return problemReply(problem('request.invalid', detail));
      }
      try {
        const renewed = await renew({ spiffe_id, fingerprint: certificate, csr });
        return { status: 200, body: JSON.stringify(renewed) };
      } catch (error) {
        if (!(error instanceof BoundaryError) || error.code !== 'csr.malformed') throw error;
        return problemReply(problemOf(400, error.code, error.message, '/csr'));
      }
    },
  };
}

interface Identify {
  uid: number | null;
  spiffe_id?: string;
  certificate?: string;
  method: string;
  actor?: string | null;
}
