/** Completion scripts, made of the commands themselves. */
import type { Command } from 'commander';
import { LibnetworkError } from '../errors.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** @throws INVALID_ARGUMENT for another shell */
export function completionScript(program: Command, shell: string): string {
  const words = wordsOf(program, []);
  switch (shell) {
    case 'bash':
      return bash(words);
    case 'zsh':
      return zsh(words);
    case 'fish':
      return fish(words);
    default:
      throw new LibnetworkError(
        'INVALID_ARGUMENT',
        `there is no completion for ${shell}: there are ${SHELLS.join(', ')}`,
        {
          field: 'shell',
          value: shell,
        },
      );
  }
}

interface Words {
  /** `network create` */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly about: string }[];
  readonly flags: readonly { readonly long: string; readonly about: string }[];
  /** The command whose lines are the names that may stand here. */
  readonly names: string | undefined;
}

/** What lists the names of what an argument names. */
const LISTS: Readonly<Record<string, string>> = {
  network: 'dnet network ls --format {{.Name}}',
  endpoint: 'dnet endpoint ls --format {{.Name}}',
  sandbox: 'dnet sandbox ls --quiet',
  container: 'dnet sandbox ls --quiet',
  shell: 'printf "%s\\n" bash zsh fish',
  'service[.network]': 'dnet service ls --format {{.Name}}.{{.Network}}',
};
/** Whose arguments are names of what is yet to come. */
const MAKING = ['create', 'publish'];

function wordsOf(command: Command, path: readonly string[]): Words[] {
  const commands = command.commands.map((each) => ({ name: each.name(), about: each.description() }));
  const flags = command.options.flatMap(({ long, description }) =>
    long ? [{ long, about: description }] : [],
  );
  return [
    { path: path.join(' '), commands, flags, names: namesOf(command) },
    ...command.commands.flatMap((each) => wordsOf(each, [...path, each.name()])),
  ];
}

/** Of whatever argument: one list of all, since what stands where depends on flags before it. */
function namesOf(command: Command): string | undefined {
  if (MAKING.includes(command.name()) && command.registeredArguments.length === 1) return undefined;
  const lists = command.registeredArguments.flatMap((argument) => LISTS[argument.name()] ?? []);
  return lists.length === 0 ? undefined : [...new Set(lists)].map((list) => `${list} 2>/dev/null`).join('; ');
}

/** A function of the script that prints something for the path of a command. */
function cases(name: string, words: readonly Words[], of: (each: Words) => string): string {
  const lines = words.flatMap((each) => (of(each) === '' ? [] : [`    '${each.path}') ${of(each)} ;;`]));
  return `${name}() {\n  case "$1" in\n${lines.join('\n')}\n  esac\n}`;
}

/** What both scripts below ask. */
function functions(words: readonly Words[]): string {
  const globals = ['--help', ...(words[0]?.flags ?? []).map(({ long }) => long)].join(' ');
  const print = (list: readonly string[]): string => (list.length === 0 ? '' : `echo ${list.join(' ')}`);
  const isRoot = ({ path }: Words): boolean => path === '';
  return [
    cases('_dnet_commands', words, ({ commands }) => print(commands.map(({ name }) => name))),
    cases('_dnet_flags', words, (each) => (isRoot(each) ? '' : print(each.flags.map(({ long }) => long)))),
    cases('_dnet_names', words, ({ names }) => names ?? ''),
    `_dnet_all() {\n  if [[ $2 == -* ]]; then _dnet_flags "$1"; echo ${globals}\n  else _dnet_commands "$1"; _dnet_names "$1"; fi\n}`,
  ].join('\n');
}

function bash(words: readonly Words[]): string {
  return `# dnet completion bash > /etc/bash_completion.d/dnet
${functions(words)}
_dnet() {
  local path='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ " $(_dnet_commands "$path") " == *" $word "* ]] && path="\${path:+$path }$word"
  done
  word=\${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=($(compgen -W "$(_dnet_all "$path" "$word")" -- "$word"))
}
complete -F _dnet dnet
`;
}

function zsh(words: readonly Words[]): string {
  return `#compdef dnet
# dnet completion zsh > "\${fpath[1]}/_dnet"
${functions(words)}
_dnet() {
  local path_='' word i
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    [[ " $(_dnet_commands "$path_") " == *" $word "* ]] && path_="\${path_:+$path_ }$word"
  done
  compadd -- \${=$(_dnet_all "$path_" "\${words[CURRENT]}")}
}
compdef _dnet dnet
# Loaded as a function by its name, it completes at once; sourced, it waits until it is asked.
[[ $funcstack[1] == _dnet ]] && _dnet
true
`;
}

function fish(words: readonly Words[]): string {
  const quote = (text: string): string => `'${text.replace(/['\\]/g, '\\$&')}'`;
  const lines = words.flatMap(({ path, commands, flags, names }) => {
    const seen = path.split(' ').filter(Boolean);
    const condition =
      seen.length === 0
        ? '__fish_use_subcommand'
        : seen.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    const flagCondition = seen.length === 0 ? '' : ` -n ${quote(condition)}`;
    const isFirst = `${condition}; and not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(' ')}`;
    const commandCondition = seen.length === 0 ? condition : isFirst;
    return [
      ...commands.map(
        ({ name, about }) =>
          `complete -c dnet -f -n ${quote(commandCondition)} -a ${name} -d ${quote(about)}`,
      ),
      ...flags.map(
        ({ long, about }) => `complete -c dnet${flagCondition} -l ${long.slice(2)} -d ${quote(about)}`,
      ),
      ...(names ? [`complete -c dnet -f -n ${quote(condition)} -a ${quote(`(${names})`)}`] : []),
    ];
  });
  return `# dnet completion fish > ~/.config/fish/completions/dnet.fish\n${lines.join('\n')}\n`;
}
