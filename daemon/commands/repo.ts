import { Command } from 'commander';
import { signProvisionCommand } from './provision/provision.ts';
import { enrolCommand } from './repo/enrol.ts';
import { discardCommand, finishCommand, refreshCommand } from './repo/finish.ts';
import { repoInitCommand } from './repo/init.ts';
import { addKeyCommand, newKeyCommand, renewCommand, revokeCommand, rotateCommand } from './repo/keys.ts';
import { lockPublisher } from './repo/lock.ts';
import { pruneCommand } from './repo/prune.ts';
import { delegateCommand, publishCommand, undelegateCommand } from './repo/publish.ts';
import { showCommand } from './repo/show.ts';
import { mergeCommand, signCommand } from './repo/sign.ts';
import { signTrustCommand } from './repo/sign-trust.ts';

const HELP = `
A change goes: propose (publish, delegate, add-key, rotate, revoke, renew) → each signer signs on their own machine →
merge → finish. Nothing is published before enough people have signed.`;

/** `holdfast repo`: the publisher's side, where bundles are signed for sites. */
export function repoCommand(): Command {
  const subcommands = [
    newKeyCommand(),
    repoInitCommand(),
    publishCommand(),
    delegateCommand(),
    undelegateCommand(),
    addKeyCommand(),
    rotateCommand(),
    revokeCommand(),
    renewCommand(),
    signCommand(),
    mergeCommand(),
    finishCommand(),
    refreshCommand(),
    signProvisionCommand(),
    enrolCommand(),
    signTrustCommand(),
    showCommand(),
    discardCommand(),
    pruneCommand(),
  ];
  const repo = new Command('repo')
    .description("The publisher's side: sign policy bundles for sites.")
    .addHelpText('after', HELP)
    .hook('preAction', lockPublisher);
  for (const command of subcommands) repo.addCommand(command);
  return repo;
}
