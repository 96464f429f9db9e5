import { Command } from 'commander';
import { BoundaryError } from '../formats/boundary-error.ts';
import { checkOwnProgram, type OwnCheck } from '../host/verified-start.ts';
import { VERSION } from '../host/version.ts';
import { EXIT, endWith } from './exit.ts';
import { print, printJson } from './render/output.ts';

const HELP = `
Roles do the same when they start, and refuse to run a program that was changed. A program cannot prove itself: check a
release by its SHA256SUMS and their signature on another machine (docs/operate/install.md).

Exit codes of --verify: 0 as released, or unsigned and said so · 10 not as released · 13 signed by another key`;

/** `holdfast version`: which one this is, and with `--verify` whether it is the one that was released. */
export function versionCommand(): Command {
  return new Command('version')
    .description('Which version this is, and whether it is as it was released.')
    .option('--verify', 'hold this program against the signed manifest of its release')
    .addHelpText('after', HELP)
    .action(async (options: { verify?: boolean; json?: boolean }) => {
      const platform = `linux-${process.arch}`;
      const told = { version: VERSION, platform, node: process.versions.node };
      if (options.verify !== true) {
        if (options.json) printJson(told);
        else print(`holdfast ${VERSION} (${platform}, Node ${told.node})`);
        return;
      }
      const result = await verified();
      if (options.json) printJson({ ...told, ...result });
      else print(`holdfast ${VERSION} (${platform}, Node ${told.node})\n${wordsOf(result)}`);
      if (result.state === 'changed')
        endWith(result.code === 'manifest.unsigned' ? EXIT.unknownKey : EXIT.tampered);
    });
}

type Result = OwnCheck | { state: 'changed'; code: string; message: string };

async function verified(): Promise<Result> {
  try {
    return await checkOwnProgram();
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return { state: 'changed', code: error.code, message: error.message };
  }
}

function wordsOf(result: Result): string {
  if (result.state === 'changed') return `NOT AS RELEASED: ${result.message} [${result.code}]`;
  if (result.state === 'signed')
    return `As released: the program and ${result.files - 1} native parts are those of ${result.manifest}, signed by the release key.`;
  return result.reason === 'checkout'
    ? 'Unsigned: this runs from a checkout, and nothing says what it should be.'
    : 'Unsigned: this is a development build, made without a release key.';
}
