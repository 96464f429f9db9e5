import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import type { SignedAnchor } from '../core/anchor-pile.ts';
import { type Followed, followLog, type WitnessRefusal, witnessWords } from '../core/witness.ts';
import { anchorHead } from '../formats/anchor.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { isUnknownSigner, openCheckpoint } from '../formats/checkpoint.ts';
import { cosign, cosignedName } from '../formats/cosignature.ts';
import type { Json } from '../formats/json.ts';
import { type LogKey, logOf } from '../formats/log-keys.ts';
import { type NoteSigner, parseVkey } from '../formats/signed-note.ts';
import { makeDir, syncDir, writeDurable } from '../host/durable-file.ts';
import { openWitnessStore, type SeenLog, type WitnessStore } from '../ledger/witness-store.ts';
import { type AnchorPile, readAnchors, type Unreadable } from './anchor-files.ts';
import { assertOutlets, carry, hasOutlet, type Outlets, sayWritten } from './carry.ts';
import { readJudgedTrust, type TrustOptions, withRootOption } from './countersignature.ts';
import { EXIT, endWith } from './exit.ts';
import type { PassphraseOptions } from './passphrase.ts';
import { print, printJson, say } from './render/output.ts';
import { count, paint, plain } from './render/text.ts';
import { logsOf } from './trust.ts';
import { openWitnessKey } from './witness-key.ts';

interface CosignOptions extends TrustOptions, PassphraseOptions {
  key: string;
  state: string;
  vkey?: string[];
  firstSeen?: boolean;
  out?: string;
  png?: string;
  qr?: boolean;
}

const HELP = `
On a machine of its own, without a site: a witness that never sees the network. It remembers the newest tree head that
it cosigned of each log, in --state, and cosigns only what is proven to continue it. FILE are anchors in any form and order:
files, directories, QR codes as pictures. The result goes back to the site: anchor import there. Where nothing may be carried
but paper, --qr shows it as QR codes, --png FILE makes pictures of them.

  holdfast anchor witness-key w1.key --name witness.example/w1
  holdfast anchor cosign /media/stick/holdfast-anchors --key w1.key --state w1.sqlite --trust outpost-7.trust --first-seen \\
    -o /media/stick/cosignatures
  holdfast anchor cosign /media/stick/holdfast-anchors --key w1.key --state w1.sqlite -o /media/stick/cosignatures

--first-seen makes the state and begins with logs that it does not know. Never use it to get rid of a complaint: a witness
that forgot what it saw vouches for nothing.

Exit codes: 0 cosigned · 3 something is not proven, or another run was faster · 10 another history, or damaged files
  13 signed by an unknown key, or an unknown log · 14 older than what was cosigned before · 2 usage`;

/** What came of one log's anchors. */
type Outcome =
  | {
      origin: string;
      cosigned: Followed;
      note: string;
      time: number;
      before: string | null;
      file: string | null;
    }
  | { origin: string; refused: { code: string; message: string; exit: number } };

/** `anchor cosign`: the offline witness. */
export function cosignCommand(): Command {
  return withRootOption(new Command('cosign'))
    .description('Cosign anchors as an offline witness: only what continues everything seen before.')
    .argument('<file...>', 'anchors: files, directories, QR codes as pictures')
    .requiredOption('--key <file>', "the witness's key (anchor witness-key)")
    .requiredOption('--state <file>', 'what the witness remembers; in a directory: witness.sqlite')
    .option('--trust <file>', "the site's trust file (site export-trust): the log's keys")
    .option('--vkey <vkey>', "the log's verifier key; repeat it for more", collect)
    .option('--first-seen', 'begin with a log, or a state, that is new')
    .option('-o, --out <dir>', 'where the cosigned checkpoints go; otherwise the only one to stdout')
    .option('--png <file>', 'write the cosigned checkpoint as QR codes, one picture each')
    .option('--qr', 'show it as QR codes')
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor instead of asking")
    .addHelpText('after', HELP)
    .action(runCosign);
}

function collect(vkey: string, before: string[] = []): string[] {
  return [...before, vkey];
}

async function runCosign(files: string[], options: CosignOptions): Promise<void> {
  const { png, qr } = options;
  const outlets = { ...(png === undefined ? {} : { png }), ...(qr === undefined ? {} : { qr }) };
  assertOutlets(outlets);
  const pile = await readAnchors(files);
  if (pile.anchors.length === 0) throw nothingToCosign(pile);
  const given = await givenKeys(options);
  const store = openState(options);
  try {
    const signer = await openWitnessKey(options.key, options);
    const logs = Map.groupBy(pile.anchors, ({ anchor }) => anchorHead(anchor).origin);
    const witness = {
      store,
      signer,
      begins: options.firstSeen === true || options.trust !== undefined,
      given,
    };
    const outcomes = [...logs].map(([origin, anchors]) => cosignLog(origin, anchors, witness));
    const written = outcomes.map((outcome) => keep(outcome, signer, options.out));
    report(written, pile.unreadable, signer, options);
    if (hasOutlet(outlets)) await showNotes(written, outlets);
  } finally {
    store.close();
  }
}

/** As QR codes. It is cosigned by now: what cannot be shown for all is shown by another run, of one log. */
async function showNotes(outcomes: readonly Outcome[], { png, ...screen }: Outlets): Promise<void> {
  const notes = outcomes.flatMap((outcome) => ('refused' in outcome ? [] : [outcome.note]));
  const [note] = notes;
  const isOne = notes.length === 1;
  if (png !== undefined && note !== undefined && isOne) sayWritten(await carry('C', note, { png }));
  else if (png !== undefined && !isOne)
    say(`No pictures were made, of ${count(notes.length, 'log')}: name the anchors of one with --png.`);
  for (const one of notes) await carry('C', one, screen);
}

interface Witness {
  store: WitnessStore;
  signer: NoteSigner;
  /** Whether a log that it does not know may be begun with. */
  begins: boolean;
  given: (origin: string) => LogKey[] | null;
}

/** Two runs at once: whoever is slower looks again at what it now has to follow. */
const ATTEMPTS = 3;

/** Whose keys → what was seen → does it continue that → remember it, durably → only then sign. */
function cosignLog(origin: string, anchors: readonly SignedAnchor[], witness: Witness): Outcome {
  const { store, signer, given, begins } = witness;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const seen = store.read(origin);
    const keys = given(origin) ?? storedKeys(seen);
    if (keys === null || (seen === null && !begins)) return refusal(origin, unknownLog(origin));
    const signed = signedBy(keys, origin, anchors);
    if (signed instanceof BoundaryError) return refusal(origin, signed);
    const followed = followLog(seen, signed);
    if (followed.outcome !== 'cosign') return { origin, refused: refusedAs(followed, origin) };
    const time = Math.floor(Date.now() / 1_000);
    const { size, root, checkpoint } = followed;
    const at = new Date(time * 1_000).toISOString();
    const next: SeenLog = { size, root, note: checkpoint, keys: JSON.stringify(keys), at };
    // Point of no return: from here on this witness has seen this tree, whatever becomes of the cosignature.
    if (!store.advance(origin, seen, next)) continue;
    return {
      origin,
      cosigned: followed,
      note: cosign(checkpoint, signer, time),
      time,
      before: seen?.at ?? null,
      file: null,
    };
  }
  return refusal(origin, outrun(origin));
}

/** The anchors that the log signed. When none is, why. */
function signedBy(
  keys: readonly LogKey[],
  origin: string,
  anchors: readonly SignedAnchor[],
): SignedAnchor[] | BoundaryError {
  let first: BoundaryError | null = null;
  const signed = anchors.filter(({ from, anchor }) => {
    try {
      openCheckpoint(anchor.checkpoint, { origin, vkeys: keys });
      return true;
    } catch (error) {
      if (!(error instanceof BoundaryError)) throw error;
      first ??= new BoundaryError(error.code, `${from}: ${error.message} Nothing of ${origin} was cosigned.`);
      return false;
    }
  });
  // One that its log did not sign says nothing about the log; it must not go unnoticed either.
  return first ?? signed;
}

/** Keys by the options; null where these say nothing about a log. */
async function givenKeys(options: CosignOptions): Promise<(origin: string) => LogKey[] | null> {
  const { trust, vkey } = options;
  if (trust !== undefined && vkey !== undefined)
    throw new BoundaryError('trust.both', 'Give either --trust or --vkey, not both; nothing was cosigned.');
  if (trust !== undefined) {
    const logs = logsOf((await readJudgedTrust(trust, options)).trust);
    return (origin) => logOf(logs, origin)?.keys ?? null;
  }
  const keys = (vkey ?? []).map((text) => ({
    name: parseVkey(text).name,
    key: { vkey: text, from: 0, until: null },
  }));
  return (origin) => {
    const own = keys.filter(({ name }) => name === origin).map(({ key }) => key);
    return own.length === 0 ? null : own;
  };
}

/** The keys under which the log was cosigned before. The state is the witness's own file; what it wrote is read as it is. */
function storedKeys(seen: SeenLog | null): LogKey[] | null {
  return seen === null ? null : (JSON.parse(seen.keys) as Json as unknown as LogKey[]);
}

/** State is never made without being asked for: a witness that forgets would cosign a second history. */
function openState({ state, firstSeen }: CosignOptions): WitnessStore {
  const named = resolve(state);
  const isDirectory = statSync(named, { throwIfNoEntry: false })?.isDirectory() === true;
  const path = isDirectory ? join(named, 'witness.sqlite') : named;
  if (existsSync(path)) return openWitnessStore(path);
  if (firstSeen === true) return openWitnessStore(path, { create: true });
  throw new BoundaryError(
    'witness.no_state',
    `There is no state ${path}; nothing was cosigned. A witness that never cosigned anything begins with --first-seen. If this one did, restore its state; without it, retire its key.`,
    { at: path },
  );
}

function keep(outcome: Outcome, signer: NoteSigner, out: string | undefined): Outcome {
  if (out === undefined || 'refused' in outcome) return outcome;
  const directory = resolve(out);
  makeDir(directory, 0o755);
  const file = join(directory, cosignedName(outcome.cosigned.size, signer.name));
  writeDurable(file, Buffer.from(outcome.note, 'utf8'), 0o644);
  syncDir(directory);
  return { ...outcome, file };
}

function report(
  outcomes: readonly Outcome[],
  unreadable: readonly Unreadable[],
  signer: NoteSigner,
  options: CosignOptions,
): void {
  if (options.json)
    printJson({ witness: signer.name, vkey: signer.vkey, logs: outcomes.map(told), unreadable });
  else
    for (const outcome of outcomes) sayOutcome(outcome, options.out === undefined && outcomes.length === 1);
  if (!options.json)
    for (const { from, message } of unreadable)
      say(`${paint('yellow', 'NOT READ')}  ${plain(from)}: ${plain(message)}`);
  const worst = Math.max(
    ...outcomes.map((outcome) => ('refused' in outcome ? outcome.refused.exit : EXIT.done)),
  );
  endWith(worst);
}

function told(outcome: Outcome): object {
  if ('refused' in outcome) {
    const { code, message } = outcome.refused;
    return { origin: outcome.origin, cosigned: false, code, message };
  }
  const { origin, cosigned, note, time, file } = outcome;
  const { size, steps, gap } = cosigned;
  return {
    origin,
    cosigned: true,
    size,
    from: steps[0] ?? 0,
    gap,
    time: new Date(time * 1_000).toISOString(),
    note,
    file,
  };
}

function sayOutcome(outcome: Outcome, toStdout: boolean): void {
  if ('refused' in outcome) {
    const { code, message } = outcome.refused;
    say(`${paint('red', paint('bold', 'NOT COSIGNED'))}  ${plain(message)} [${code}]`);
    return;
  }
  const { origin, cosigned, note, time, before, file } = outcome;
  const [from = 0] = cosigned.steps;
  const how =
    from === 0
      ? 'seen for the first time'
      : from === cosigned.size
        ? 'the same as before'
        : `proven to continue ${from}`;
  say(
    `${paint('green', paint('bold', 'COSIGNED'))}  ${plain(origin)}, ${count(cosigned.size, 'entry', 'entries')}, ${how}`,
  );
  if (cosigned.gap !== null)
    say(
      `Not the newest: nothing here proves that ${cosigned.gap} entries continue these. Ask the site for the whole chain.`,
    );
  if (before !== null && time * 1_000 < Date.parse(before))
    say(
      `This machine's clock is wrong: it cosigned this log at ${before} before. Sites may not believe such times; set it.`,
    );
  if (file !== null) print(file);
  else if (toStdout) process.stdout.write(note);
  else say('Name a directory with -o to have it written: there are several logs.');
}

const EXITS: Record<WitnessRefusal['outcome'], number> = {
  split: EXIT.tampered,
  inconsistent: EXIT.tampered,
  behind: EXIT.rolledBack,
  unproven: EXIT.refused,
};

function refusedAs(refusal: WitnessRefusal, origin: string): { code: string; message: string; exit: number } {
  const { outcome } = refusal;
  return { code: `witness.${outcome}`, message: witnessWords(refusal, origin), exit: EXITS[outcome] };
}

function refusal(origin: string, error: BoundaryError): Outcome {
  const { code, message } = error;
  const isStranger = code === 'witness.unknown_log' || isUnknownSigner(error);
  const exit = code === 'witness.outrun' ? EXIT.refused : isStranger ? EXIT.unknownKey : EXIT.tampered;
  return { origin, refused: { code, message, exit } };
}

function unknownLog(origin: string): BoundaryError {
  return new BoundaryError(
    'witness.unknown_log',
    `This witness does not know ${origin}, so it was not cosigned. Begin with the keys of that log: --trust FILE (site export-trust there), or --vkey VKEY --first-seen.`,
  );
}

function outrun(origin: string): BoundaryError {
  return new BoundaryError(
    'witness.outrun',
    `Other runs of this witness cosigned ${origin} meanwhile; nothing was cosigned here. Run it again.`,
  );
}

function nothingToCosign({ unreadable }: AnchorPile): BoundaryError {
  const [first] = unreadable;
  const why = first === undefined ? 'There are no anchors there' : `${first.from}: ${first.message}`;
  return new BoundaryError('witness.no_anchors', `${why}; nothing was cosigned.`);
}
