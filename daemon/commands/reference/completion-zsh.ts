import { brief, type Place, placesOf, spellings } from './completion-table.ts';
import type { CommandSpec, ValueKind } from './spec.ts';

/** For a file `_holdfast` in a folder of `$fpath`, or `source <(holdfast completion zsh)` behind `compinit`. */
export function zshCompletion(root: CommandSpec): string {
  const places = placesOf(root);
  const names = places.slice(1).map(({ name }) => quoted(name));
  const valued = places.flatMap(({ name, options }) =>
    options
      .filter(({ value }) => value !== null)
      .flatMap((option) => spellings(option).map((word) => quoted(`${name} ${word}`))),
  );
  return `#compdef holdfast
# zsh completion for holdfast; made by: holdfast completion zsh
_holdfast() {
  local cur=\${words[CURRENT]} prev=\${words[CURRENT-1]} place=holdfast word kind=''
  local -a found
  local -i i
  # --option=value is one word here.
  if [[ $cur == --*=* ]]; then
    prev=\${cur%%=*}
    compset -P 1 '*='
    cur=\${cur#*=}
  fi
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    case "$place $word" in
      (${names.join('|\\\n      ')})
        place="$place $word" ;;
      (${valued.join('|\\\n      ')})
        ((i++)) ;;
    esac
  done
  case "$place $prev" in
${valueCases(places)}
  esac
  if [[ -z $kind && $cur == -* ]]; then
    kind=options
    case "$place" in
${places.map(optionCase).join('\n')}
    esac
  elif [[ -z $kind ]]; then
    case "$place" in
${places.map(operandCase).join('\n')}
    esac
  fi
  case "$kind" in
    (options) _describe -o option found ;;
    (words) _describe value found ;;
    (file) _files ;;
    (directory) _files -/ ;;
    (*) _message 'value' ;;
  esac
}
if [[ $funcstack[1] == _holdfast ]]; then
  _holdfast "$@"
else
  compdef _holdfast holdfast
fi
`;
}

function valueCases(places: readonly Place[]): string {
  return places
    .flatMap(({ name, options }) =>
      options.flatMap((option) => {
        if (option.value === null) return [];
        const words = spellings(option).map((word) => quoted(`${name} ${word}`));
        return [`    (${words.join('|')}) ${answer(option.value)} ;;`];
      }),
    )
    .join('\n');
}

function optionCase({ name, options }: Place): string {
  const found = options.flatMap((option) =>
    spellings(option).map((word) => item(word, brief(option.description))),
  );
  return `      (${quoted(name)}) found=(${found.join(' ')}) ;;`;
}

function operandCase({ name, commands, operands }: Place): string {
  if (commands.length === 0) return `      (${quoted(name)}) ${answer(operands)} ;;`;
  const found = commands.map((command) => item(command.name, brief(command.about)));
  return `      (${quoted(name)}) kind=words found=(${found.join(' ')}) ;;`;
}

/** A value that must be named, and by chance an empty one, needs a kind that is not empty. */
function answer(kind: ValueKind): string {
  if (typeof kind === 'string') return `kind=${kind}`;
  return `kind=words found=(${kind.map((word) => item(word, '')).join(' ')})`;
}

/** `word:what it is`, as \`_describe\` reads it. */
function item(word: string, about: string): string {
  const name = word.replaceAll(':', '\\:');
  return quoted(about === '' ? name : `${name}:${about}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
