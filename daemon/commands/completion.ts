import { Argument, Command } from 'commander';
import type { SiteOptions } from './access.ts';
import { completionFor, SHELLS, type Shell } from './reference/completion.ts';
import { specOf } from './reference/spec.ts';
import { printJson } from './render/output.ts';

const HELP = `
Examples:
  source <(holdfast completion bash)                                      for this shell
  holdfast completion zsh > "\${fpath[1]}/_holdfast"                       for every zsh from now on
  holdfast completion fish > ~/.config/fish/completions/holdfast.fish     for every fish

The package installs all three. Nothing is asked of the daemon while you type.`;

/** `holdfast completion SHELL`. `whole` loads every command. */
export function completionCommand(whole: () => Promise<Command>): Command {
  return new Command('completion')
    .description('Print a script that completes commands, options and values in a shell.')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText('after', HELP)
    .action(async (shell: Shell, options: SiteOptions) => {
      const script = completionFor(shell, specOf(await whole()));
      if (options.json) printJson({ shell, script });
      else process.stdout.write(script);
    });
}
