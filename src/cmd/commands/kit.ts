/** What commands have in common. */
import type { Command } from 'commander';
import type { Client } from '../../client/client.ts';
import type { Output } from '../output.ts';
import { type GlobalOptions, withClient, withProgress } from '../session.ts';

export interface Kit {
  readonly output: Output;
}

/** A command's action: opens a client for its work, and closes it. */
export function act<A extends unknown[], O extends object>(
  command: Command,
  work: (client: Client, options: O & GlobalOptions, ...args: A) => Promise<void>,
): Command {
  return command.action(async (...given: unknown[]) => {
    const { options, args } = split<A, O>(command, given);
    await withClient(options, (client) => work(client, options, ...args));
  });
}

/** The same for what takes its time. */
export function actSlowly<A extends unknown[], O extends object>(
  { output }: Kit,
  command: Command,
  what: string,
  work: (client: Client, options: O & GlobalOptions, ...args: A) => Promise<void>,
): Command {
  return act<A, O>(command, (client, options, ...args) =>
    withProgress(output, what, work(client, options, ...args)),
  );
}

function split<A extends unknown[], O extends object>(command: Command, given: readonly unknown[]) {
  const options = command.optsWithGlobals<O & GlobalOptions>();
  // commander hands in the arguments, then the options and the command itself.
  return { options, args: given.slice(0, -2) as A };
}

/** Does it for each, past failures, of which it throws the one, or all as an `AggregateError`. */
export async function forEach(
  names: readonly string[],
  work: (name: string) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      await work(name);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, `${failures.length} of ${names.length} failed`);
}

/** Shows those that there are as one list, or each by a template; then throws for those that there are not. */
export async function showEach(
  output: Output,
  names: readonly string[],
  format: string | undefined,
  look: (name: string) => Promise<unknown>,
): Promise<void> {
  const found: unknown[] = [];
  try {
    await forEach(names, async (name) => {
      found.push(await look(name));
    });
  } finally {
    if (!format || format === 'json') output.thing(found, 'json');
    else for (const each of found) output.thing(each, format);
  }
}

export const FORMAT = ['--format <format>', 'table, json, or a template such as {{.Name}}'] as const;
