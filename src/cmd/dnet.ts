#!/usr/bin/env node
/** `dnet`: the daemon and its command line. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { LibnetworkError } from '../errors.ts';
import { EXIT } from './exitcodes.ts';
import { isColoured, paint, safe } from './output.ts';
import { makeProgram } from './program.ts';
import { withSeparator } from './separator.ts';

async function main(): Promise<void> {
  const program = makeProgram({ out: process.stdout, err: process.stderr });
  for (const command of [program, ...everyOne(program)]) command.exitOverride();
  // A reader that has seen enough (`| head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.OK);
    throw error;
  });
  try {
    await program.parseAsync(withSeparator(program, process.argv.slice(2)), { from: 'user' });
  } catch (error) {
    process.exitCode = tell(error);
  }
}

type Program = ReturnType<typeof makeProgram>;

function everyOne(command: Program): Program[] {
  return command.commands.flatMap((each) => [each, ...everyOne(each)] as Program[]);
}

/** The exit code; says what failed and what to do. */
function tell(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  if (error instanceof AggregateError) return error.errors.map(tell)[0] ?? EXIT.FAILED;
  const mark = paint('dnet:', 'red', isColoured(process.stderr));
  if (!LibnetworkError.is(error)) {
    process.stderr.write(
      `${mark} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return EXIT.FAILED;
  }
  process.stderr.write(`${mark} ${safe(error.message)}\n`);
  for (const left of error.notUndone ?? []) process.stderr.write(`  could not be undone: ${safe(left)}\n`);
  const step = nextStep(error);
  if (step !== undefined) process.stderr.write(`  ${step}\n`);
  return EXIT[error.code];
}

/** What to do, where the message itself can't know. */
function nextStep({ code, field = '' }: LibnetworkError): string | undefined {
  if (code === 'INTERNAL')
    return '`dnet doctor` looks for what is wrong on this host, the daemon’s log tells more';
  const list = LISTS.find(([word]) => field.startsWith(word))?.[1];
  return code === 'NOT_FOUND' && list !== undefined ? `\`dnet ${list}\` tells what there is` : undefined;
}

/** By the start of the field that a name stands in. */
const LISTS = [
  ['network', 'network ls'],
  ['endpoint', 'endpoint ls'],
  ['sandbox', 'sandbox ls'],
  ['from', 'endpoint ls'],
  ['to', 'endpoint ls'],
] as const;

const [, started] = process.argv;
if (started !== undefined && realpathSync(started) === fileURLToPath(import.meta.url)) await main();
