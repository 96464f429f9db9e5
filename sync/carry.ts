import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BoundaryError } from '../daemon/formats/boundary-error.ts';
import { sha256Hex } from '../daemon/formats/digest.ts';
import { parseEnvelope } from '../daemon/formats/dsse.ts';
import { makeDir, readBounded, writeDurable } from '../daemon/host/durable-file.ts';
import { type Budget, download, unexpected } from './download.ts';
import type { Link } from './link.ts';

export interface CarryOptions {
  link: Link;
  /** URL of headquarters' shelf for this site, with a slash at its end. */
  url: string;
  outbox: string;
  inbox: string;
  /** Our own state directory: what was sent is remembered here, because outbox is not ours to change. */
  state: string;
  /** Most bytes of one file. */
  maxBytes: number;
  budget: Budget;
}

export interface Carried {
  /** Names that headquarters has now and had not before. */
  sent: string[];
  /** Digests whose acknowledgements came back. */
  acknowledged: string[];
  /** Files that could not be carried, and why; the others were. */
  failures: BoundaryError[];
}

/** One file of outbox, under the name that headquarters gets: its digest stands before the last part. */
interface Outgoing {
  name: string;
  digest: string;
  bytes: Uint8Array;
}

/** With the digest before it, still a name that any file system takes. */
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,188}$/;
const MAX_DEPTH = 3;
const ACKNOWLEDGEMENT_MAX_BYTES = 65_536;

/**
 * Puts what lies in outbox upstream, once each, and brings signed acknowledgements back into `inbox/acknowledgements`.
 * Names carry the content's digest, so putting a file again (a crash came between sending and remembering) changes nothing
 * there. Nothing is ever removed from outbox: that is the daemon's, once it verified an acknowledgement. Throws
 * BoundaryError `sync.*` when the link itself fails.
 */
export async function carryOutbox(options: CarryOptions): Promise<Carried> {
  const carried: Carried = { sent: [], acknowledged: [], failures: [] };
  const sent = sentMarks(options);
  const answers = join(options.inbox, 'acknowledgements');
  // The daemon takes away what it has dealt with.
  makeDir(answers, 0o770);
  const present = new Set<string>();
  const digests = new Set<string>();
  for (const path of filesOf(options.outbox)) {
    await tolerant(carried, async () => {
      const file = outgoing(options, path);
      const mark = join(sent, sha256Hex(Buffer.from(file.name, 'utf8')));
      for (const name of [mark, file.digest]) present.add(name);
      if (!existsSync(mark)) {
        await put(options, file);
        writeDurable(mark, new Uint8Array(), 0o600);
        carried.sent.push(file.name);
      }
      digests.add(file.digest);
    });
  }
  // After all that is new went out: asking for answers must not use up what a round may do.
  for (const digest of digests) {
    await tolerant(carried, async () => {
      if (await acknowledge(options, answers, digest)) carried.acknowledged.push(digest);
    });
  }
  // Only after a whole look at outbox: what is gone from there needs no memory any more.
  if (carried.failures.length === 0) forget(sent, answers, present);
  return carried;
}

/** A file that is refused must not keep the others back; a broken link ends the round. */
async function tolerant(carried: Carried, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const own = /^(file\.|dsse\.|json\.|sync\.(http_status|file_too_large|redirected|encoded|bad_name)$)/;
    if (!(error instanceof BoundaryError) || !own.test(error.code)) throw error;
    carried.failures.push(error);
  }
}

async function put({ link, url, budget }: CarryOptions, { name, bytes }: Outgoing): Promise<void> {
  const signal = budget.nextFile();
  budget.take(bytes.length);
  const headers = { 'content-type': 'application/octet-stream' };
  const answer = await link.ask({ method: 'PUT', url: `${url}${name}`, headers, body: bytes, signal });
  answer.resume();
  const status = answer.statusCode ?? 0;
  if (status !== 200 && status !== 201 && status !== 204) throw unexpected(`${url}${name}`, status);
}

/** True when an acknowledgement arrived. Only its shape is looked at; who signed it is for the daemon to judge. */
async function acknowledge(
  { link, url, budget }: CarryOptions,
  answers: string,
  digest: string,
): Promise<boolean> {
  const path = join(answers, `${digest}.json`);
  if (existsSync(path)) return false;
  const from = `${url}acknowledgements/${digest}.json`;
  const max = ACKNOWLEDGEMENT_MAX_BYTES;
  if (!(await download({ link, url: from, path, max, budget }))) return false;
  try {
    parseEnvelope(Buffer.from(readBounded(path, max)).toString('utf8'));
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
  return true;
}

function outgoing({ outbox, maxBytes }: CarryOptions, path: string): Outgoing {
  if (!path.split('/').every((part) => FILE_NAME.test(part)))
    throw new BoundaryError(
      'sync.bad_name',
      'A file in outbox has a name that cannot be carried (letters, digits, dots, hyphens and underscores can, up to 189); it stays there. Rename it.',
      { at: path.slice(0, 200) },
    );
  const bytes = readBounded(join(outbox, path), maxBytes);
  const digest = sha256Hex(bytes);
  const slash = path.lastIndexOf('/') + 1;
  return { bytes, digest, name: `${path.slice(0, slash)}${digest}.${path.slice(slash)}` };
}

/** Files below outbox by their path from there, in a fixed order. Unfinished files (`.NAME.tmp`) and links stay. */
function filesOf(dir: string, from = '', depth = 1): string[] {
  const entries = readdirSync(join(dir, from), { withFileTypes: true }).filter(
    ({ name }) => !name.startsWith('.'),
  );
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      if (entry.isFile()) return [`${from}${entry.name}`];
      return entry.isDirectory() && depth < MAX_DEPTH ? filesOf(dir, `${from}${entry.name}/`, depth + 1) : [];
    });
}

/** Where the marks of this upstream lie: another headquarters has got nothing yet. */
function sentMarks({ state, url }: CarryOptions): string {
  const all = join(state, 'sent');
  const dir = join(all, sha256Hex(Buffer.from(url, 'utf8')));
  makeDir(all, 0o700);
  makeDir(dir, 0o700);
  return dir;
}

function forget(sent: string, answers: string, present: ReadonlySet<string>): void {
  for (const mark of readdirSync(sent)) if (!present.has(join(sent, mark))) rmSync(join(sent, mark));
  for (const name of readdirSync(answers)) {
    const digest = /^([0-9a-f]{64})\.json(?:\.part|\.etag)?$/.exec(name)?.[1];
    if (digest !== undefined && !present.has(digest))
      rmSync(join(answers, name), { force: true, recursive: true });
  }
}
