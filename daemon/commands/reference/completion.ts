import { bashCompletion } from './completion-bash.ts';
import { fishCompletion } from './completion-fish.ts';
import { zshCompletion } from './completion-zsh.ts';
import type { CommandSpec } from './spec.ts';

/** Shells that completions can be made for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof SHELLS)[number];

const MAKERS: Readonly<Record<Shell, (root: CommandSpec) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/**
 * A script for the shell that completes commands, options, values to choose from, and files. It knows everything itself:
 * nothing is run or asked while somebody types, so that it works when the daemon does not.
 */
export function completionFor(shell: Shell, root: CommandSpec): string {
  return MAKERS[shell](root);
}
