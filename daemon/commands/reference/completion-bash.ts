import { type Place, placesOf, spellings } from './completion-table.ts';
import type { CommandSpec, ValueKind } from './spec.ts';

/** For `source <(holdfast completion bash)` or /usr/share/bash-completion/completions/holdfast; needs bash 4. */
export function bashCompletion(root: CommandSpec): string {
  const places = placesOf(root);
  const names = places.slice(1).map(({ name }) => quoted(name));
  const valued = places.flatMap(({ name, options }) =>
    options
      .filter(({ value }) => value !== null)
      .flatMap((option) => spellings(option).map((word) => quoted(`${name} ${word}`))),
  );
  return `# bash completion for holdfast; made by: holdfast completion bash
_holdfast() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} place=holdfast i word words='' kind=''
  COMPREPLY=()
  # bash makes words of their own of "=" and of what stands behind it.
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' && COMP_CWORD -gt 2 ]]; then
    prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$place $word" in
      ${names.join(' | \\\n      ')})
        place="$place $word" ;;
      ${valued.join(' | \\\n      ')})
        [[ \${COMP_WORDS[i+1]} == '=' ]] && ((i++))
        ((i++)) ;;
    esac
  done
  case "$place $prev" in
${valueCases(places)}
  esac
  if [[ -z $kind && $cur == -* ]]; then
    kind=words
    case "$place" in
${places.map(({ name, options }) => `      ${quoted(name)}) words=${quoted(options.flatMap(spellings).join(' '))} ;;`).join('\n')}
    esac
  elif [[ -z $kind ]]; then
    case "$place" in
${places.map(operandCase).join('\n')}
    esac
  fi
  case "$kind" in
    words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
    file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
  esac
}
complete -F _holdfast holdfast
`;
}

function valueCases(places: readonly Place[]): string {
  return places
    .flatMap(({ name, options }) =>
      options.flatMap((option) => {
        if (option.value === null) return [];
        const words = spellings(option).map((word) => quoted(`${name} ${word}`));
        return [`    ${words.join(' | ')}) ${answer(option.value)} ;;`];
      }),
    )
    .join('\n');
}

function operandCase({ name, commands, operands }: Place): string {
  if (commands.length === 0) return `      ${quoted(name)}) ${answer(operands)} ;;`;
  return `      ${quoted(name)}) ${answer(commands.map((command) => command.name))} ;;`;
}

function answer(kind: ValueKind): string {
  return typeof kind === 'string' ? `kind=${kind}` : `kind=words words=${quoted(kind.join(' '))}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
