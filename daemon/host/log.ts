import { destination, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Members that could carry a secret, at the top of a log record and one level below. */
const SECRET_MEMBERS = [
  'payload',
  'sensitive',
  'value',
  'salt',
  'stdin',
  'body',
  'passphrase',
  'password',
  'secret',
  'seed',
  'key',
  'token',
  'authorization',
  'cookie',
];

/**
 * JSON lines on stderr, written before the call returns (a log that is lost in a crash is of no use). `level` is the
 * site's setting; `HOLDFAST_LOG` in `env` overrides it for one run.
 */
export function createLogger(
  role: string,
  level: LogLevel = 'info',
  env: Record<string, string | undefined> = process.env,
): Logger {
  return pino(
    {
      base: { role, pid: process.pid },
      level: LOG_LEVELS.find((known) => known === env.HOLDFAST_LOG) ?? level,
      timestamp: () => `,"at":"${new Date().toISOString()}"`,
      redact: { paths: SECRET_MEMBERS.flatMap((name) => [name, `*.${name}`]), censor: '[withheld]' },
    },
    destination({ fd: 2, sync: true }),
  );
}
