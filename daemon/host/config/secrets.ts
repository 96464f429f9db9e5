import type { Section } from './section.ts';

/** Where secrets come from, and how often the key of the envelopes changes. */
export interface SecretsConfig {
  /** Absolute path of the key-encryption key, where it is no systemd credential; null: key files lie unwrapped. */
  kek_file: string | null;
  /** Absolute path of the gateway's own credentials, where they are no systemd credentials; null: it has none. */
  credentials: string | null;
  /** Five cron fields, in UTC: when the envelope key is rotated; null: by hand. */
  rotate_envelope: string | null;
}

/** What holds where nothing is set. */
export const NO_SECRETS: SecretsConfig = { kek_file: null, credentials: null, rotate_envelope: null };

export const SECRETS_SETTINGS: readonly string[] = ['kek_file', 'credentials', 'rotate_envelope'];

const ABSOLUTE = /^\/[^\0]+$/;

/** The checked `secrets` section of `holdfast.json`. */
export function parseSecrets(section: Section): SecretsConfig {
  return {
    kek_file: section.optionalText('kek_file', ABSOLUTE, 'the absolute path of a file'),
    credentials: section.optionalText('credentials', ABSOLUTE, 'the absolute path of a directory'),
    rotate_envelope: section.optionalText(
      'rotate_envelope',
      /^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/,
      'five cron fields, such as "17 3 1 * *" (UTC), or null',
    ),
  };
}
