import { brief, type Place, placesOf, spellings } from './completion-table.ts';
import type { CommandSpec, OptionSpec, ValueKind } from './spec.ts';

/** For /usr/share/fish/vendor_completions.d/holdfast.fish or `holdfast completion fish | source`. */
export function fishCompletion(root: CommandSpec): string {
  const places = placesOf(root);
  const names = places.slice(1).map(({ name }) => `  ${quoted(name)}`);
  const valued = places.flatMap(({ name, options }) =>
    options
      .filter(({ value }) => value !== null)
      .flatMap((option) => spellings(option).map((word) => `  ${quoted(`${name} ${word}`)}`)),
  );
  return `# fish completion for holdfast; made by: holdfast completion fish
set -g __holdfast_places \\
${names.join(' \\\n')}
set -g __holdfast_valued \\
${valued.join(' \\\n')}

# True where the words typed so far lead to exactly this command.
function __holdfast_at
    set -l place holdfast
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- "$place $word" $__holdfast_places
            set place "$place $word"
        else if contains -- "$place $word" $__holdfast_valued
            set skip 1
        end
    end
    test "$place" = "$argv[1]"
end

complete -c holdfast -f
${places.flatMap(linesOf).join('\n')}
`;
}

function linesOf(place: Place): string[] {
  const at = `complete -c holdfast -n ${quoted(`__holdfast_at ${quoted(place.name)}`)}`;
  const commands = place.commands.map(
    ({ name, about }) => `${at} -a ${quoted(name)} -d ${quoted(brief(about))}`,
  );
  const operands =
    place.commands.length > 0 || place.operands === 'text' ? [] : [`${at} ${offer(place.operands)}`];
  return [...commands, ...operands, ...place.options.map((option) => `${at} ${optionWords(option)}`)];
}

function optionWords({ short, long, value, description }: OptionSpec): string {
  const names = `${short === null ? '' : `-s ${short.slice(1)} `}-l ${long.slice(2)}`;
  const takes = value === null ? '' : ` ${value === 'file' ? '-r' : '-x'} ${offer(value)}`;
  return `${names}${takes.trimEnd()} -d ${quoted(brief(description))}`;
}

function offer(kind: ValueKind): string {
  if (kind === 'file') return '-F';
  if (kind === 'directory') return `-a '(__fish_complete_directories)'`;
  return kind === 'text' ? '' : `-a ${quoted(kind.join(' '))}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
