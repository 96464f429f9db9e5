import { join } from 'node:path';
import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { isUnknownSigner } from '../formats/checkpoint.ts';
import { decodeEntry } from '../formats/entry.ts';
import { innerContradiction } from '../formats/entry-contradiction.ts';
import { keysOfLogs, parseLogVkey } from '../formats/log-keys.ts';
import { type Permit, type VerifiedPermit, verifyPermit } from '../formats/permit.ts';
import type { LogTrust } from '../formats/tlog-policy.ts';
import { parseProof } from '../formats/tlog-proof.ts';
import { siteDir } from '../host/config.ts';
import { readLineage } from '../host/log-lineage.ts';
import { sitePaths } from '../host/site.ts';
import { readText, type SiteOptions } from './access.ts';
import {
  type Countersignature,
  countersignatureWords,
  readJudgedTrust,
  type TrustOptions,
  withRootOption,
} from './countersignature.ts';
import { EXIT, endWith } from './exit.ts';
import { print, printJson } from './render/output.ts';
import { inline, instant, paint, plain, rows } from './render/text.ts';
import { logTrust, readLogTrust } from './trust.ts';

interface VerifyOptions extends TrustOptions {
  policy?: string;
}

/** A permit file is one proof; more than this is none. */
const PERMIT_MAX_BYTES = 2 * 1024 * 1024;

const EXAMPLES = `
Examples:
  holdfast permit verify relay.permit --policy tlog-policy     needs nothing but these two files
  holdfast permit verify relay.permit --trust site-trust.json

Exit codes: 0 genuine · 3 genuine, but no permit · 10 does not match · 12 not cosigned as
the tlog-policy demands · 13 signed by an unknown key · 2 no such file
Genuine is not the same as usable: the answer also says whether it has expired. Whether it was redeemed only the
ledger knows.`;

/** `holdfast permit verify`: checks a permit file with public keys alone. */
export function permitCommand(): Command {
  const verify = withRootOption(new Command('verify'))
    .description('Check a permit file offline: signature, inclusion, entry, grant.')
    .argument('<file>', 'permit file (C2SP tlog-proof)')
    .option('--policy <file>', 'C2SP tlog-policy that names the log and its witnesses')
    .option('--trust <file>', 'trust file written by `site export-trust`')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, options: VerifyOptions) => {
      const { trust, countersignature } = await believed(options);
      report(check(readPermit(file), trust), countersignature, options);
    });
  return new Command('permit').description('Check permits, offline.').addCommand(verify);
}

/** The file's text. Tools that write text (`jq -r`) add a newline after the last one; that one is not part of the proof. */
function readPermit(file: string): string {
  return readText(file, PERMIT_MAX_BYTES).replace(/\n\n$/, '\n');
}

/** Whose checkpoints count, and what headquarters says about it where a trust file says whose. */
async function believed(
  options: VerifyOptions,
): Promise<{ trust: LogTrust; countersignature: Countersignature | null }> {
  if (options.trust === undefined || options.policy !== undefined)
    return { trust: readLogTrust(options) ?? ownTrust(options), countersignature: null };
  const { trust, countersignature } = await readJudgedTrust(options.trust, options);
  return { trust: { vkeys: logTrust(trust).vkeys }, countersignature };
}

/**
 * What the site at hand believes, for the operator who is at home: the witnesses of its tlog-policy, and every key that its
 * ledger ever had. The file itself names the key in use alone, for those who cannot tell which checkpoints an old one signed.
 */
export function ownTrust(options: SiteOptions): LogTrust {
  const { trust } = sitePaths(siteDir(options.dir, process.env));
  try {
    const own = readLogTrust({ policy: join(trust, 'tlog-policy') });
    const logs = keysOfLogs(readLineage(trust)).map(parseLogVkey);
    if (own !== null && 'policy' in own) return { policy: { ...own.policy, logs } };
  } catch (cause) {
    if (!(cause instanceof BoundaryError)) throw cause;
  }
  throw new BoundaryError(
    'trust.missing',
    'Nothing says which keys to believe: give --policy FILE (tlog-policy) or --trust FILE. Nothing was checked.',
  );
}

type Checked =
  | { ok: true; verified: VerifiedPermit }
  | { ok: false; error: BoundaryError; suspect: Suspect | null };

function check(text: string, trust: LogTrust): Checked {
  try {
    return { ok: true, verified: verifyPermit(text, trust) };
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    // Witnesses that are missing say nothing about the rest: a forged permit is to be called one.
    const rest = error.code === 'tlog_policy.no_quorum' ? check(text, withoutQuorum(trust)) : null;
    return rest === null || rest.ok ? { ok: false, error, suspect: suspectIn(text) } : rest;
  }
}

function withoutQuorum(trust: LogTrust): LogTrust {
  return 'policy' in trust ? { policy: { ...trust.policy, quorum: null } } : trust;
}

function report(checked: Checked, countersignature: Countersignature | null, options: SiteOptions): void {
  if (!checked.ok) {
    reportFailure(checked, options);
    return;
  }
  const { permit, index, checkpoint, entry } = checked.verified;
  const state = validity(permit, Date.now());
  if (options.json) {
    const { origin, size } = checkpoint;
    printJson({
      verified: true,
      validity: state,
      permit,
      entry: { index, type: entry.type, at: entry.at },
      checkpoint: { origin, size },
      ...(countersignature === null ? {} : { countersignature }),
    });
  } else print(render(checked.verified, state, countersignature));
  endWith(EXIT.done);
}

const GET_COSIGNED =
  'Its log signed it; that this is the only history, nobody vouches for yet. When the witnesses have cosigned a later checkpoint, the site proves it again: holdfast ledger prove INDEX --cosigned -o FILE.';

function reportFailure({ error, suspect }: Extract<Checked, { ok: false }>, options: SiteOptions): void {
  const { code, message } = error;
  // A proof of an entry that grants nothing is a true statement, just no permit.
  const genuine = code === 'permit.none';
  const lacksWitnesses = code === 'tlog_policy.no_quorum';
  const where = suspect === null ? '' : `\nIts entry, ${suspect.field}: ${plain(suspect.why)}`;
  if (options.json) printJson({ verified: false, code, message, ...(suspect === null ? {} : { suspect }) });
  else if (genuine) print(`${paint('yellow', paint('bold', 'NO PERMIT'))}  ${message} [${code}]`);
  else if (lacksWitnesses)
    print(`${paint('yellow', paint('bold', 'NOT COSIGNED'))}  ${message} ${GET_COSIGNED} [${code}]`);
  else
    print(`${paint('red', paint('bold', 'NOT GENUINE'))}  ${message} [${code}]${where}\nDo not act on it.`);
  if (genuine) endWith(EXIT.refused);
  else if (lacksWitnesses) endWith(EXIT.uncovered);
  else endWith(isUnknownSigner(error) ? EXIT.unknownKey : EXIT.tampered);
}

/** A member of the entry in a permit file that cannot be as it was signed. */
interface Suspect {
  /** JSON pointer. */
  field: string;
  why: string;
}

/** What can be told of a file that does not verify: what is malformed in its entry, or what the entry says twice differently. */
function suspectIn(text: string): Suspect | null {
  try {
    const { extra } = parseProof(text);
    return extra === undefined ? null : innerContradiction(decodeEntry(extra));
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return error.at?.startsWith('/') === true ? { field: error.at, why: error.message } : null;
  }
}

type Validity = 'valid' | 'not_yet_valid' | 'expired';

function validity(permit: Permit, now: number): Validity {
  if (now < Date.parse(permit.not_before)) return 'not_yet_valid';
  return now < Date.parse(permit.expires_at) ? 'valid' : 'expired';
}

const VALIDITY_WORDS: Record<Validity, string> = {
  valid: '',
  not_yet_valid: 'not valid yet, by this machine’s clock',
  expired: 'expired: proof that it was granted, but it can no longer be redeemed',
};

function render(
  { permit, index, checkpoint, entry }: VerifiedPermit,
  state: Validity,
  countersignature: Countersignature | null,
): string {
  const { call } = permit;
  const runs =
    call.connector === 'exec' ? inline(call.argv) : plain(`${call.method} ${call.path} at ${call.address}`);
  return [
    `${paint('green', paint('bold', 'GENUINE'))}  ${plain(`${permit.tool} on ${permit.target.type}:${permit.target.id} in ${permit.environment}`)}`,
    rows([
      ['permit', plain(permit.id)],
      ['decision', plain(permit.decision_id)],
      ['for', plain(permit.audience)],
      ['runs', runs],
      ['valid', `from ${instant(permit.not_before)}\nuntil ${instant(permit.expires_at)}`],
      ['but', VALIDITY_WORDS[state]],
      ['action', permit.action_digest],
      ['policy', permit.policy_digest],
      [
        'profile',
        permit.profile === 'dev'
          ? 'dev: made for development, worth nothing elsewhere'
          : plain(permit.profile),
      ],
      ['recorded', `entry ${index} (${entry.type}) of ${plain(checkpoint.origin)}, ${entry.at}`],
      ['signed by', checkpoint.verified.map(({ name }) => plain(name)).join(', ')],
      ['trust', countersignature === null ? '' : countersignatureWords(countersignature)],
    ]),
  ].join('\n');
}
