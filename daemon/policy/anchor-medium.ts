import { readdir } from 'node:fs/promises';
import type { AnchorContradiction, CarriedAlong } from '../core/anchor-report.ts';
import type { EngineHandle } from '../engine/protocol.ts';
import { internal, textOf } from '../engine/protocol.ts';
import { ANCHOR_MAX_BYTES, anchorHead, anchorName, parseAnchor, parseAnchorName } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { type CheckpointTrust, openCheckpoint } from '../formats/checkpoint.ts';
import { errorCode } from '../host/durable-file.ts';
import { type KnownChain, type Link, linksFrom, linkText, readChain } from './anchor-links.ts';
import { anchorFolder } from './anchor-outbox.ts';
import { closeQuietly } from './medium.ts';
import { contentOf, type Folder, leaveFile, openFolder, withPatience } from './medium-write.ts';
import { siteInName } from './receipts.ts';

/** The folder of all sites' anchors on a medium. */
const ANCHORS_ON_MEDIUM = 'holdfast-anchors';

export interface CarryOptions {
  engine: EngineHandle;
  site: string;
  /** The medium. */
  path: string;
  /** Who takes it, for the record; null when nobody is named. */
  who: string | null;
  /** What the site's own tree heads are signed with. */
  trust(): CheckpointTrust;
}

/** Links that one medium is given at a time; older ones are joined into one. */
const MOST_LINKS = 200;
const MOST_NAMES = 20_000;
/** Anchors on the medium that are compared with the ledger: the newest. */
const COMPARED = 8;

/**
 * Takes along the anchors that a medium lacks, into `holdfast-anchors/SITE/`: export the newest tree head → compare what
 * lies there with the ledger → write the missing links, durably → only then record that they left. A medium that cannot
 * be written is no reason to fail anything, but one that knows more than the ledger is told loudly. Harmless to repeat.
 */
export async function carryAnchors(options: CarryOptions): Promise<CarriedAlong> {
  const { engine } = options;
  const result: CarriedAlong = {
    directory: null,
    written: [],
    size: null,
    failure: null,
    contradiction: null,
  };
  await engine.call(internal('anchors.export', JSON.stringify({ reason: 'media' })));
  const chain = await readChain(engine, MOST_LINKS);
  try {
    await withPatience(leave(options, chain, result), MOST_LINKS);
  } catch (error) {
    result.failure = failureWords(error);
  }
  if (result.contradiction !== null)
    result.contradiction.incident_id = await halt(engine, result.contradiction);
  if (result.size !== null) {
    const body = JSON.stringify({ size: result.size, actor: options.who });
    await engine.call(internal('anchors.carried', body));
  }
  return result;
}

/** The site's own key signed it, and the ledger does not bear it out: nothing may run before somebody knows why. */
async function halt(engine: EngineHandle, { name, size, kind }: AnchorContradiction): Promise<string | null> {
  const what =
    kind === 'ahead'
      ? `An anchor on a medium knows ${size} entries of this ledger, which has fewer: it was set back, or the key is used elsewhere.`
      : `An anchor on a medium is of another history of ${size} entries, signed by this ledger's key: the ledger was changed or forked, or the key is used elsewhere.`;
  const report = { cause: 'history_contradicted', detail: what, evidence: { file: name, size, kind } };
  const answer = await engine.call(internal('incidents.open', JSON.stringify(report)));
  const { incident_id } = JSON.parse(textOf(answer)) as { incident_id?: string };
  return incident_id ?? null;
}

async function leave(options: CarryOptions, chain: KnownChain, result: CarriedAlong): Promise<void> {
  const [, ...successor] = anchorFolder(chain.origin).split('/');
  const folder = await openFolder(options.path, [ANCHORS_ON_MEDIUM, siteInName(options.site), ...successor]);
  try {
    result.directory = folder.path;
    const there = await linksOn(folder);
    result.contradiction = await contradictionIn(options, folder, there, chain);
    // Nothing is added to another history: that would hide it.
    if (result.contradiction !== null) return;
    const from = await reached(options, folder, there, chain);
    for (const link of linksFrom(chain.links, from, MOST_LINKS)) {
      const text = await linkText(options.engine, link);
      if (text === null) continue;
      const name = anchorName(link);
      if (await leaveFile(folder, name, Buffer.from(text, 'utf8'))) result.written.push(name);
    }
    await folder.handle.sync();
    result.size = chain.links[0]?.size ?? null;
  } finally {
    await closeQuietly(folder.handle);
  }
}

async function linksOn({ handle }: Folder): Promise<(Link & { name: string })[]> {
  const names = (await readdir(`/proc/self/fd/${handle.fd}`)).slice(0, MOST_NAMES);
  return names
    .flatMap((name) => {
      const link = parseAnchorName(name);
      return link === null ? [] : [{ ...link, name }];
    })
    .sort((a, b) => b.size - a.size);
}

/** How far the chain on the medium reaches: to the newest link that lies there whole. A pulled stick leaves half files. */
async function reached(
  { engine }: CarryOptions,
  folder: Folder,
  there: readonly (Link & { name: string })[],
  { links }: KnownChain,
): Promise<number> {
  const known = new Set(links.map(({ size }) => size));
  for (const { old, size, name } of there.filter((link) => known.has(link.size)).slice(0, COMPARED)) {
    const text = await linkText(engine, { old, size });
    const bytes = await contentOf(`/proc/self/fd/${folder.handle.fd}/${name}`, ANCHOR_MAX_BYTES);
    if (text !== null && bytes?.toString('utf8') === text) return size;
  }
  return 0;
}

/** The newest anchors there that this site signed must be what the ledger says today. */
async function contradictionIn(
  { engine, trust }: CarryOptions,
  folder: Folder,
  there: readonly (Link & { name: string })[],
  chain: KnownChain,
): Promise<AnchorContradiction | null> {
  for (const { name } of there.slice(0, COMPARED)) {
    const bytes = await contentOf(`/proc/self/fd/${folder.handle.fd}/${name}`, ANCHOR_MAX_BYTES);
    const head = bytes === null ? null : ownHead(bytes, trust());
    if (head === null || head.origin !== chain.origin) continue;
    if (head.size > chain.size) return { name, size: head.size, kind: 'ahead', incident_id: null };
    const ours = await linkText(engine, { old: head.size, size: head.size });
    if (ours === null) continue;
    const { root } = anchorHead(parseAnchor(ours));
    if (!Buffer.from(root).equals(head.root))
      return { name, size: head.size, kind: 'other_history', incident_id: null };
  }
  return null;
}

/** Null for what this site did not sign: anybody may write to a stick. */
function ownHead(bytes: Uint8Array, trust: CheckpointTrust) {
  try {
    return openCheckpoint(parseAnchor(bytes).checkpoint, trust);
  } catch (error) {
    if (error instanceof BoundaryError) return null;
    throw error;
  }
}

function failureWords(error: unknown): string {
  const code = errorCode(error);
  if (code === null) throw error;
  if (code === 'EEXIST') return 'a file of the same name and other contents lies there';
  if (code === 'ELOOP' || code === 'ENOTDIR') return 'something else lies where the folder should be';
  return `it could not be written to (${code})`;
}
