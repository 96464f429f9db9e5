import { join } from 'node:path';
import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { ENROLMENT_HEAD, ENROLMENT_MAX_BYTES, openEnrolment } from '../formats/enrolment.ts';
import { isFrame } from '../formats/qr-frames.ts';
import { readBounded } from '../host/durable-file.ts';
import { isPng, PICTURE_MAX_BYTES } from '../host/picture.ts';
import { openSite, type Site, type SiteOptions } from './access.ts';
import { assertOutlets, carry, hasOutlet, type Outlets, sayWritten } from './carry.ts';
import { ownLogTrust, trustOf } from './own-trust.ts';
import { print, printJson } from './render/output.ts';
import { plain, rows } from './render/text.ts';
import { trustBytes, trustFingerprint } from './trust.ts';

/** Name of the enrolment in outbox and on sticks. */
const ENROLMENT_FILE = 'enrolment.proof';

const HELP = `
Bring it to headquarters, once, and read them the fingerprint over a way that you trust:
  holdfast repo enrol FILE --repo DIR --key KEY`;

/** `site enrolment`: how a new site introduces itself to headquarters. */
export function enrolmentCommand(): Command {
  return new Command('enrolment')
    .description("Show the site's enrolment for headquarters: its key, proven by its ledger's first entry.")
    .option('-o, --out <file>', 'write it to a file')
    .option('--png <file>', 'write it as QR codes, one picture each')
    .option('--qr', 'show it as QR codes')
    .addHelpText('after', HELP)
    .action(async (options: SiteOptions & Outlets) => {
      assertOutlets(options);
      const site = openSite(options);
      const { text, fingerprint } = await enrolmentOf(site);
      const files = await carry('E', text, options);
      const { vkey } = openEnrolment(text);
      if (options.json) printJson({ site: site.config.site, vkey, fingerprint, files, enrolment: text });
      else if (!hasOutlet(options)) print(text);
      else {
        print(
          rows([
            ['site', plain(site.config.site)],
            ['key', plain(vkey)],
            ['fingerprint', fingerprint],
          ]),
        );
        sayWritten(files);
      }
    });
}

/**
 * The enrolment of a site under its newest checkpoint, and the fingerprint of the trust file that headquarters will make of
 * it. Throws BoundaryError `enrolment.*`, `ledger.*`.
 */
export async function enrolmentOf(site: Site): Promise<{ text: string; vkey: string; fingerprint: string }> {
  const [{ viewLedger }, { proveIndex }] = await Promise.all([
    import('../ledger/open.ts'),
    import('../ledger/export.ts'),
  ]);
  const { origin, vkeys } = ownLogTrust(site);
  const view = viewLedger(site.paths.ledger, { origin, vkeys });
  try {
    const text = proveIndex(view, 0);
    const { vkey } = openEnrolment(text);
    return { text, vkey, fingerprint: trustFingerprint(trustBytes(trustOf(site))) };
  } finally {
    view.close();
  }
}

/** The enrolment in a file, or in pictures or texts of its QR codes. Throws BoundaryError `file.*`, `picture.*`, `qr.*`, `enrolment.*`. */
export async function readEnrolment(files: readonly string[]): Promise<string> {
  const frames: string[] = [];
  for (const path of files) {
    const bytes = readBounded(path, PICTURE_MAX_BYTES);
    if (isPng(bytes)) {
      frames.push(...(await (await import('../host/qr-code.ts')).framesInPng(bytes)));
      continue;
    }
    const text = Buffer.from(bytes.subarray(0, ENROLMENT_MAX_BYTES)).toString('utf8');
    if (!isFrame(text.trimStart())) return proofIn(text, path, files.length);
    frames.push(...text.split(/\s+/).filter((line) => line !== ''));
  }
  const { kind, content } = (await import('../host/qr-code.ts')).contentOf(frames);
  if (kind === 'E') return Buffer.from(content).toString('utf8');
  throw new BoundaryError('enrolment.malformed', 'The QR codes hold something else; nothing was signed.');
}

/** A file stands for itself: a second one would be another site. */
function proofIn(text: string, path: string, files: number): string {
  if (text.startsWith(`${ENROLMENT_HEAD}\n`) && files === 1)
    return text.endsWith('\n\n') ? text.slice(0, -1) : text;
  const why = files === 1 ? 'it is no enrolment' : 'one enrolment at a time';
  throw new BoundaryError('enrolment.malformed', `${path}: ${why}; nothing was signed.`, { at: path });
}

/** Where a site keeps its own enrolment for whoever comes by. */
export function enrolmentPath(outbox: string): string {
  return join(outbox, ENROLMENT_FILE);
}
