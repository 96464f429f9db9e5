import { Command } from 'commander';
import { BoundaryError } from '../../formats/boundary-error.ts';
import {
  isGrantId,
  normalCode,
  parseGrant,
  parseSealedGrant,
  type SealedGrant,
} from '../../formats/grant.ts';
import { isFrame } from '../../formats/qr-frames.ts';
import { readBounded } from '../../host/durable-file.ts';
import { isPng, PICTURE_MAX_BYTES } from '../../host/picture.ts';
import { connect, openSite, requireActor, type SiteOptions } from '../access.ts';
import { passphrases } from '../passphrase.ts';
import { renderSession } from '../render/breakglass.ts';
import { print, printJson } from '../render/output.ts';
import { collectField } from './place.ts';

interface RedeemOptions extends SiteOptions {
  reason: string;
  field?: Record<string, string>;
  actor?: string;
  passphraseFd?: string;
}

const HELP = `
Examples:
  holdfast breakglass redeem-grant grant-7.json --reason 'nobody can be reached' --actor olga
  holdfast breakglass redeem-grant grant-7-1of2.png grant-7-2of2.png …          photographs of the paper
  holdfast breakglass redeem-grant grant_01990000-… …                           asks for the code, to be typed off the paper

A grant works once. The session that it opens is reviewed like any other.`;

/** `holdfast breakglass redeem-grant`: breaks the glass with what lies in the envelope. */
export function redeemGrantCommand(): Command {
  return new Command('redeem-grant')
    .description('Break the glass with a sealed grant, where nobody can sign.')
    .argument('<grant...>', 'the grant as a file, pictures of its QR codes, or its id (grant_…)')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .option('--field <name=text>', 'a field of the reason that the policy asks for; repeatable', collectField)
    .option('--actor <id>', 'who uses it')
    .option('--passphrase-fd <n>', 'read the code from this file descriptor instead of the terminal')
    .addHelpText('after', HELP)
    .action(async (from: string[], options: RedeemOptions) => {
      const site = openSite(options);
      const actor = { id: requireActor(options.actor, site) };
      const { id, sealed } = await readGrant(from);
      const code = sealed?.code ?? (await passphrases(options)(`the code of ${id}`));
      const session = await connect(site, 'operator', 'request').redeemGrant(id, {
        code: normalCode(code),
        actor,
        reason: options.reason,
        ...(options.field === undefined ? {} : { fields: options.field }),
        ...(sealed === null ? {} : { grant: sealed.grant, act: sealed.act, signature: sealed.signature }),
      });
      if (options.json) printJson(session);
      else print(renderSession(session));
    });
}

/** What the arguments name. Throws BoundaryError `grant.*`, `qr.*`, `picture.*`. */
async function readGrant(from: readonly string[]): Promise<{ id: string; sealed: SealedGrant | null }> {
  const [first = '', ...more] = from;
  if (isGrantId(first) && more.length === 0) return { id: first, sealed: null };
  const files = from.map((path) => readBounded(path, PICTURE_MAX_BYTES));
  const frames = (await Promise.all(files.map(framesIn))).flat();
  const [only] = files;
  if (frames.length === 0 && more.length > 0) {
    throw new BoundaryError(
      'grant.file',
      'Several files, and none holds a QR code of ours; nothing was sent.',
    );
  }
  const sealed = parseSealedGrant(frames.length > 0 ? await joined(frames) : (only ?? new Uint8Array()));
  return { id: parseGrant(sealed.grant).id, sealed };
}

async function framesIn(bytes: Uint8Array): Promise<string[]> {
  if (isPng(bytes)) return (await import('../../host/qr-code.ts')).framesInPng(bytes);
  const lines = Buffer.from(bytes.subarray(0, 65_536)).toString('latin1').split(/\r?\n/);
  return lines.map((line) => line.trim()).filter(isFrame);
}

async function joined(frames: readonly string[]): Promise<Uint8Array> {
  const { kind, content } = (await import('../../host/qr-code.ts')).contentOf(frames);
  if (kind === 'G') return content;
  throw new BoundaryError(
    'grant.file',
    'The QR codes hold something other than a sealed grant; nothing was sent.',
  );
}
