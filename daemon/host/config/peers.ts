import type { Profile } from '../site.ts';
import type { Section } from './section.ts';

/** How callers of the sockets are known. Local settings: they can demand more than policy does, never less. */
export interface PeersConfig {
  /** Whoever the policy in force does not know by certificate or local user is refused. */
  require_identity: boolean;
  /** The sockets speak TLS, and only with callers that show a certificate of the site's own authority. */
  tls: boolean;
  /** PEM files with the certificate and key that commands of this machine show; null: what the environment names, else the site account's. */
  certificate: string | null;
  key: string | null;
  /** Five cron fields, in UTC: when the site's roles renew their own certificates. */
  rotate: string;
}

export const PEERS_SETTINGS: readonly string[] = ['require_identity', 'tls', 'certificate', 'key', 'rotate'];

const FILE = /^\/[^\0]*[^\0/]$/;
const FILE_WORDS = 'the absolute path of a PEM file';

/** The checked `peers` section of `holdfast.json`. An appliance always demands both; elsewhere the default is neither. */
export function parsePeers(section: Section, profile: Profile): PeersConfig {
  const demanded = profile === 'appliance';
  const flag = (key: 'require_identity' | 'tls'): boolean => {
    const value = section.value(key) ?? demanded;
    if (typeof value !== 'boolean') throw section.wrong(key, 'true or false');
    if (demanded && !value)
      throw section.wrong(key, 'true, or leave it out: an appliance always knows its callers');
    return value;
  };
  const certificate = section.optionalText('certificate', FILE, FILE_WORDS);
  const key = section.optionalText('key', FILE, FILE_WORDS);
  if ((certificate === null) !== (key === null))
    throw section.wrong(
      certificate === null ? 'certificate' : 'key',
      'both files, certificate and key, or neither',
    );
  return {
    require_identity: flag('require_identity'),
    tls: flag('tls'),
    certificate,
    key,
    rotate: section.text(
      'rotate',
      '23 4 1 * *',
      /^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/,
      'five cron fields, such as "23 4 1 * *" for once a month (UTC)',
    ),
  };
}
