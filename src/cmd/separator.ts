/** `dnet sandbox exec c1 ls -l`: what follows the program is the program's own, also without `--` before it. */
import type { Command } from 'commander';

const COMMAND = ['sandbox', 'exec'];
/** Beside the command's own words the sandbox; then comes the program. */
const OWN = COMMAND.length + 1;

/** The arguments with `--` before a program that is to be run; others as they are. */
export function withSeparator(program: Command, args: readonly string[]): readonly string[] {
  const takesValue = new Set(
    program.options.filter(({ required }) => required).flatMap(({ short, long }) => [short, long]),
  );
  const operands: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i] ?? '';
    if (word === '--') return args;
    if (word.startsWith('-') && word !== '-') {
      if (takesValue.has(word)) i++;
      continue;
    }
    if (operands.length === OWN) return [...args.slice(0, i), '--', ...args.slice(i)];
    operands.push(word);
    if (operands.length <= COMMAND.length && word !== COMMAND[operands.length - 1]) return args;
  }
  return args;
}
