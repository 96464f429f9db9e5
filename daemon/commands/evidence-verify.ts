import { existsSync } from 'node:fs';
import type { Check, Finding } from '../evidence/examination.ts';
import { renderReport } from '../evidence/report.ts';
import { type EvidenceTrust, type Verification, verifyEvidence } from '../evidence/verify.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { fromBase64, sha256Hex } from '../formats/digest.ts';
import { EVIDENCE_LIMITS } from '../formats/evidence.ts';
import { parsePolicy } from '../formats/tlog-policy.ts';
import { readBounded } from '../host/durable-file.ts';
import { openSite, readText } from './access.ts';
import {
  type Countersignature,
  countersignatureWords,
  readJudgedTrust,
  type TrustOptions,
} from './countersignature.ts';
import { endWith } from './exit.ts';
import { assertFree, writeNew } from './new-file.ts';
import { print, printJson } from './render/output.ts';
import { folded, paint, plain, rows, type Style } from './render/text.ts';
import { trustOf } from './site.ts';
import { logsOf, type TrustFile } from './trust.ts';

interface VerifyOptions extends TrustOptions {
  policy?: string;
}

const ROOT_MAX_BYTES = 512_000;
const POLICY_MAX_BYTES = 262_144;

/** `holdfast evidence verify`: what holds, what does not, and what nobody can conclude. */
export async function verifyAndReport(file: string, options: VerifyOptions): Promise<void> {
  const { verification, countersignature } = await verify(file, options);
  if (options.json) {
    const { opened, ...rest } = verification;
    const { index } = opened ?? { index: null };
    printJson({ verified: verification.code === 0, file, ...rest, evidence: index, countersignature });
  } else print(render(file, verification, countersignature));
  endWith(verification.code);
}

/** `holdfast evidence report`: the same as a page; it is written whatever was found, and says so at its top. */
export async function writeReport(file: string, options: VerifyOptions & { out: string }): Promise<void> {
  assertFree(options.out);
  const { verification, countersignature, bytes } = await verify(file, options);
  const page = renderReport(verification, {
    made_at: new Date().toISOString(),
    sha256: sha256Hex(bytes),
    trust: trustWords(options, countersignature),
  });
  writeNew(options.out, page);
  const { code, findings } = verification;
  if (options.json) printJson({ verified: code === 0, file: options.out, code, findings });
  else
    print(
      `Wrote ${plain(options.out)}.${code === 0 ? '' : ` ${paint('red', 'The evidence does not verify')}; the page says so at its top.`}`,
    );
  endWith(code);
}

async function verify(
  file: string,
  options: VerifyOptions,
): Promise<{ verification: Verification; countersignature: Countersignature | null; bytes: Uint8Array }> {
  if (!existsSync(file))
    throw new BoundaryError('file.missing', `${file} does not exist; nothing was verified.`, { at: file });
  const { trust, countersignature } = await believed(options);
  const bytes = readBounded(file, EVIDENCE_LIMITS.bytes);
  return { verification: await verifyEvidence(bytes, trust), countersignature, bytes };
}

/** Where the keys come from that are believed, for the page. */
function trustWords({ trust, policy }: VerifyOptions, countersignature: Countersignature | null): string {
  const files = [
    ...(trust === undefined
      ? []
      : [`a trust file, ${countersignatureWords(countersignature ?? { state: 'absent' })}`]),
    ...(policy === undefined ? [] : ['a policy of logs and witnesses']),
  ];
  return files.join(', and ') || 'those of the site at which the page was made';
}

/** Whom to believe: a trust file, a tlog-policy and a root, both, or the site at hand. */
async function believed(
  options: VerifyOptions,
): Promise<{ trust: EvidenceTrust; countersignature: Countersignature | null }> {
  const policy =
    options.policy === undefined ? null : parsePolicy(readText(options.policy, POLICY_MAX_BYTES));
  if (options.trust !== undefined) {
    const { trust, countersignature } = await readJudgedTrust(options.trust, options);
    return { trust: { ...believing(trust), policy }, countersignature };
  }
  if (policy === null) return { trust: ownTrust(options), countersignature: null };
  const [root] = options.root ?? [];
  if (root === undefined)
    throw new BoundaryError(
      'trust.missing',
      'A tlog-policy says whose log is believed, and not whose policy: give --root root.json (the one the site was pinned to), or --trust FILE. Nothing was checked.',
    );
  return {
    trust: { site: null, logs: [], policy, root: readBounded(root, ROOT_MAX_BYTES) },
    countersignature: null,
  };
}

/** Whom a trust file has believed, but for witnesses. */
export function believing(trust: TrustFile): Omit<EvidenceTrust, 'policy'> {
  return { site: trust.site, logs: logsOf(trust), root: fromBase64(trust.root) };
}

/** The site at hand, for the operator who is at home. */
function ownTrust(options: VerifyOptions): EvidenceTrust {
  try {
    return { ...believing(trustOf(openSite(options))), policy: null };
  } catch (cause) {
    if (!(cause instanceof BoundaryError) || cause.code !== 'site.not_found') throw cause;
    throw new BoundaryError(
      'trust.missing',
      'Nothing says which keys to believe: give --trust FILE (from "holdfast site export-trust" at the site), or --policy FILE and --root FILE. Nothing was checked.',
      { cause },
    );
  }
}

const WORDS: Record<Verification['code'], [word: string, style: Style, meaning: string]> = {
  0: ['HOLDS', 'green', 'Everything that was checked holds.'],
  10: ['DOES NOT HOLD', 'red', 'Something was changed, or contradicts itself. Do not rely on it.'],
  12: [
    'NOT COSIGNED',
    'yellow',
    'It is intact, but fewer witnesses stand behind it than the policy given asks for.',
  ],
  13: ['UNKNOWN KEY', 'red', 'It is signed by a key that is not (or no longer) believed here.'],
  14: ['ROLLED BACK', 'red', 'The log ends before what somebody who signed had seen of it.'],
};

const VERDICTS: Record<Verification['replay']['verdict'], string> = {
  same: 'the same verdict',
  as_far_as_disclosed: 'consistent as far as disclosed',
  other: 'another verdict',
  not_replayed: 'not judged again',
};

function render(
  file: string,
  { code, findings, checks, replay, unproved, opened }: Verification,
  countersignature: Countersignature | null,
): string {
  const [word, style, meaning] = WORDS[code];
  const decision = opened?.decision;
  const head = [
    ['file', plain(file)],
    ['site', plain(opened?.index.site ?? '')],
    ['decision', plain(decision?.decision_id ?? '')],
    ['status', plain(decision?.status ?? '')],
    [
      'replayed',
      opened === null
        ? ''
        : `${VERDICTS[replay.verdict]}${replay.hidden.length === 0 ? '' : ` (not seen: ${plain(replay.hidden.join(', '))})`}`,
    ],
    ['trust', countersignature === null ? '' : countersignatureWords(countersignature)],
  ] as const;
  const lines = [`${paint(style, paint('bold', word))}  ${meaning}`, rows(head)];
  if (findings.length > 0) lines.push('', 'Found:', ...findings.map(findingLine));
  if (checks.length > 0) lines.push('', 'Checked:', ...checks.map(checkLine));
  if (unproved.length > 0)
    lines.push('', 'Not proved by this file:', ...unproved.map((line) => item('-', plain(line))));
  return lines.join('\n');
}

function findingLine({ file, field, message, code }: Finding): string {
  return item('-', plain(`${file}${field === null ? '' : ` at ${field}`}: ${message} [${code}]`));
}

const MARKS: Record<Check['result'], [mark: string, style: Style]> = {
  holds: ['yes', 'green'],
  fails: ['NO', 'red'],
  not_checked: ['?', 'yellow'],
};

function checkLine({ what, result, detail }: Check): string {
  const [mark, style] = MARKS[result];
  return item(paint(style, mark.padEnd(3)), plain(detail === '' ? what : `${what}: ${detail}`));
}

/** A line under a heading, its further lines under its text. */
function item(mark: string, text: string): string {
  return `  ${mark} ${folded(text, 110).replaceAll('\n', '\n      ')}`;
}
