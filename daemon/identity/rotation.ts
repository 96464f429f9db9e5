import { BoundaryError } from '../formats/boundary-error.ts';
import { writeDurable } from '../host/durable-file.ts';
import type { Logger } from '../host/log.ts';
import { runBySchedule } from '../host/schedule.ts';
import type { SitePaths } from '../host/site.ts';
import { identityFile, readIdentity, type SiteRole, type TlsIdentity } from './files.ts';
import { certificateIn } from './tls.ts';

/**
 * Runs `renew` on a cron schedule (UTC). A failure is logged and changes nothing: the certificate at hand has no end, so
 * the next time will do. Returns what ends the schedule. Throws BoundaryError `config.wrong_value`.
 */
export async function renewOnSchedule(
  schedule: string,
  renew: () => Promise<void>,
  log: Logger,
): Promise<() => Promise<void>> {
  const round = async (): Promise<void> => {
    try {
      await renew();
      log.info({}, 'certificate renewed');
    } catch (error) {
      log.warn({ err: error }, 'the certificate could not be renewed; the one before stays in use');
    }
  };
  return runBySchedule(schedule, '/peers/rotate', round, log);
}

/**
 * Renews a part's certificate: a new key is made here and never leaves, the daemon certifies it. The file changes whole,
 * or not at all; the old certificate counts until the new one is first shown.
 */
export async function renewIdentity(
  paths: SitePaths,
  role: SiteRole,
  ask: (csr: string) => Promise<{ certificate: string }>,
): Promise<TlsIdentity> {
  const before = readIdentity(paths, role);
  // Loaded when it is needed, once a month: it is large.
  const { newRequest } = await import('./authority.ts');
  const { key, csr } = await newRequest(role);
  const { certificate } = await ask(csr);
  if (certificateIn(certificate).spiffe_id !== certificateIn(before.certificate).spiffe_id) {
    throw new BoundaryError(
      'tls.wrong_certificate',
      `The daemon certified somebody else than ${role}; nothing was changed.`,
    );
  }
  writeDurable(identityFile(paths, role), Buffer.from(`${certificate}${key}`, 'utf8'), 0o600);
  return readIdentity(paths, role);
}
