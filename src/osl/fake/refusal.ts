import { LibnetworkError } from '../../errors.ts';
import { kernelError } from '../errno.ts';

/** The kernel's answer to a request it will not do: an errno and its extended text. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly errno: string;
  readonly text: string | undefined;

  constructor(errno: string, text?: string) {
    super(text === undefined ? errno : `${errno}: ${text}`);
    this.errno = errno;
    this.text = text;
  }
}

/** A refusal as the error of the operation that met it; any other error as it is. */
export function asOperation(operation: string, error: unknown): unknown {
  if (error instanceof Refusal) return kernelError(operation, error.errno, error.text);
  if (!LibnetworkError.is(error) || error.operation !== undefined) return error;
  return new LibnetworkError(error.code, error.message, { ...factsOf(error), operation, cause: error });
}

function factsOf(error: LibnetworkError): Record<string, unknown> {
  const facts: Record<string, unknown> = {};
  for (const name of ['field', 'value', 'holder', 'errno', 'kernelMessage', 'limit'] as const) {
    if (error[name] !== undefined) facts[name] = error[name];
  }
  return facts;
}
