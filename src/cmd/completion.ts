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
}

function wordsOf(command: Command, path: readonly string[]): Words[] {
  const commands = command.commands.map((each) => ({ name: each.name(), about: each.description() }));
  const flags = command.options.flatMap(({ long, description }) =>
    long ? [{ long, about: description }] : [],
  );
  return [
    { path: path.join(' '), commands, flags },
    ...command.commands.flatMap((each) => wordsOf(each, [...path, each.name()])),
  ];
}

function candidates({ commands, flags }: Words, globals: Words['flags']): string {
  return [
    ...commands.map(({ name }) => name),
    ...flags.map(({ long }) => long),
    ...globals.map(({ long }) => long),
    '--help',
  ]
    .filter((word, i, all) => all.indexOf(word) === i)
    .join(' ');
}

const globalsOf = (words: readonly Words[]): Words['flags'] => words[0]?.flags ?? [];

function cases(words: readonly Words[]): string {
  return words
    .map((each) => `    '${each.path}') words='${candidates(each, globalsOf(words))}' ;;`)
    .join('\n');
}

function bash(words: readonly Words[]): string {
  return `# dnet completion bash > /etc/bash_completion.d/dnet
_dnet() {
  local words path='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ $word == -* ]] && continue
    case " $(_dnet_words "$path") " in *" $word "*) path="\${path:+$path }$word" ;; esac
  done
  COMPREPLY=($(compgen -W "$(_dnet_words "$path")" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
_dnet_words() {
  local words=''
  case "$1" in
${cases(words)}
  esac
  printf '%s' "$words"
}
complete -F _dnet dnet
`;
}

function zsh(words: readonly Words[]): string {
  return `#compdef dnet
# dnet completion zsh > "\${fpath[1]}/_dnet"
_dnet_words() {
  local words=''
  case "$1" in
${cases(words)}
  esac
  print -r -- "$words"
}
_dnet() {
  local path_='' word i
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    [[ $word == -* ]] && continue
    [[ " $(_dnet_words "$path_") " == *" $word "* ]] && path_="\${path_:+$path_ }$word"
  done
  compadd -- \${=$(_dnet_words "$path_")}
}
compdef _dnet dnet
`;
}

function fish(words: readonly Words[]): string {
  const quote = (text: string): string => `'${text.replace(/['\\]/g, '\\$&')}'`;
  const lines = words.flatMap(({ path, commands, flags }) => {
    const seen = path.split(' ').filter(Boolean);
    const condition =
      seen.length === 0
        ? '__fish_use_subcommand'
        : seen.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    const flagCondition = seen.length === 0 ? '' : ` -n ${quote(condition)}`;
    return [
      ...commands.map(
        ({ name, about }) => `complete -c dnet -f -n ${quote(condition)} -a ${name} -d ${quote(about)}`,
      ),
      ...flags.map(
        ({ long, about }) => `complete -c dnet${flagCondition} -l ${long.slice(2)} -d ${quote(about)}`,
      ),
    ];
  });
  return `# dnet completion fish > ~/.config/fish/completions/dnet.fish\n${lines.join('\n')}\n`;
}
