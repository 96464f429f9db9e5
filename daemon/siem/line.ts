import { toCef } from '../formats/cef.ts';
import { toOcsf } from '../formats/ocsf.ts';
import type { SecurityEvent } from '../formats/security-event.ts';
import { toSyslog } from '../formats/syslog.ts';
import type { FeedFormat } from '../host/config/siem.ts';
import { VERSION } from '../host/version.ts';

/** One event of a feed, printed. */
export interface Line {
  index: number;
  /** UTF-8 with its line end. */
  bytes: Buffer;
}

/** Ends of file names, as the tools that read them expect. */
export const EXTENSIONS: Readonly<Record<FeedFormat, string>> = { ocsf: 'jsonl', cef: 'cef', syslog: 'log' };

/** An event as one line of text, without its end. The same event is always the same line. */
export function printEvent(format: FeedFormat, event: SecurityEvent): string {
  switch (format) {
    case 'ocsf':
      return JSON.stringify(toOcsf(event, VERSION));
    case 'cef':
      return toCef(event, VERSION);
    case 'syslog':
      return toSyslog(event);
  }
}

/** Where the event's id stands in a line of each format. */
const ID: Readonly<Record<FeedFormat, RegExp>> = {
  ocsf: /"metadata":\{.*?"uid":"([^"#\\]+)#(\d{1,15})"/,
  cef: / externalId=([^\s#\\]+)#(\d{1,15}) /,
  syslog: /\[holdfast@\d+ id="([^"#\\]+)#(\d{1,15})"/,
};

/** Which event a line of ours tells; null for any other line. */
export function eventOfLine(format: FeedFormat, line: string): { origin: string; index: number } | null {
  const [, origin, index] = ID[format].exec(line) ?? [];
  return origin === undefined || index === undefined ? null : { origin, index: Number(index) };
}
