/**
 * Templates for `--format`, as in Go's text/template as far as such formats go: `{{.Name}}`, `{{json .}}`,
 * `{{range .Ports}}…{{else}}…{{end}}`, `{{range $key, $value := .Labels}}…{{end}}`, `{{if .X}}…{{else if .Y}}…{{end}}`,
 * functions (see below), pipes, parentheses, comments, and `$` for the whole. Names of fields fit in any case of their
 * letters.
 */
import { LibnetworkError } from '../errors.ts';

type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'range' | 'with';
      readonly pipe: Pipe;
      /** Names for the key and the value, or for the value. */
      readonly variables: readonly string[];
      readonly yes: Node[];
      readonly otherwise: Node[];
    };
/** Each call gets what the one before it gave as its last argument. */
type Pipe = readonly (readonly Argument[])[];
type Argument =
  | { readonly kind: 'path'; readonly root: string; readonly names: readonly string[] }
  | { readonly kind: 'group'; readonly pipe: Pipe; readonly names: readonly string[] }
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'function'; readonly name: string };

export type Template = (data: unknown) => string;

/** @throws INVALID_ARGUMENT saying what is wrong with the template */
export function compileTemplate(source: string): Template {
  const parser = new Parser(unescaped(source));
  const nodes = parser.parse();
  return (data) => render(nodes, { '.': data, $: data });
}

/** The line above a table that a template makes: the names of its fields as titles. */
export function titlesOf(source: string): string {
  const nodes = new Parser(unescaped(source)).parse();
  return nodes.map((node) => (node.kind === 'text' ? node.text : titleOf(node.pipe))).join('');
}

function titleOf(pipe: Pipe): string {
  const path = pipe.flat().find((argument) => argument.kind === 'path' || argument.kind === 'group');
  return (path?.names.at(-1) ?? '').replace(/([a-z\d])([A-Z])/g, '$1 $2').toUpperCase();
}

function unescaped(source: string): string {
  return source.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
}

function fail(why: string): never {
  throw new LibnetworkError('INVALID_ARGUMENT', `the template of --format: ${why}`, { field: 'format' });
}

interface Block {
  readonly nodes: Node[];
  readonly end: 'else' | 'end' | undefined;
  readonly chained?: Node;
}

class Parser {
  readonly #parts: readonly string[];
  #at = 0;

  constructor(source: string) {
    // Odd parts are what stands between the braces; a hyphen eats the white space beside it.
    this.#parts = source
      .replace(/\s*\{\{- /g, '{{')
      .replace(/ -\}\}\s*/g, '}}')
      .split(/\{\{(.*?)\}\}/s);
  }

  parse(): Node[] {
    const { nodes, end } = this.#block();
    if (end !== undefined) fail(`{{${end}}} ends nothing`);
    return nodes;
  }

  /** Up to an `else` or `end` of its own. */
  #block(): Block {
    const nodes: Node[] = [];
    for (; this.#at < this.#parts.length; ) {
      const part = this.#parts[this.#at] ?? '';
      const isText = this.#at % 2 === 0;
      this.#at++;
      if (isText) {
        if (part.includes('{{')) fail('a {{ has no }}');
        if (part !== '') nodes.push({ kind: 'text', text: part });
        continue;
      }
      const action = part.trim();
      if (/^\/\*.*\*\/$/s.test(action)) continue;
      if (action === 'else' || action === 'end') return { nodes, end: action };
      const [, chained] = /^else\s+(if\s.*)$/s.exec(action) ?? [];
      // The one after `else` ends where the one before it does.
      if (chained !== undefined) return { nodes, end: 'else', chained: this.#action(chained) };
      nodes.push(this.#action(action));
    }
    return { nodes, end: undefined };
  }

  #action(action: string): Node {
    const [, kind, rest = ''] = /^(if|range|with)\s+(.*)$/s.exec(action) ?? [];
    if (kind !== 'if' && kind !== 'range' && kind !== 'with')
      return { kind: 'value', pipe: readPipe(action) };
    const then = this.#block();
    const otherwise = then.chained
      ? { nodes: [then.chained], end: 'end' }
      : then.end === 'else'
        ? this.#block()
        : { nodes: [], end: then.end };
    if (otherwise.end !== 'end') fail(`{{${kind}}} has no {{end}}`);
    const [, names = '', pipe = rest] = /^((?:\$\w+\s*,\s*)?\$\w+)\s*:=(.*)$/s.exec(rest) ?? [];
    const variables = names.split(',').flatMap((name) => name.trim() || []);
    return { kind, variables, pipe: readPipe(pipe), yes: then.nodes, otherwise: otherwise.nodes };
  }
}

/** Texts, `|`, parentheses (behind one that closes also the fields of what was inside), and words. */
const WORDS = /"(?:[^"\\]|\\.)*"|`[^`]*`|\||\(|\)(?:\.[\w.-]+)?|[^\s|()]+/g;

function readPipe(text: string): Pipe {
  const words = text.match(WORDS) ?? fail('{{}} is empty');
  const { pipe, closing } = readCalls([...words], text);
  if (closing !== undefined) fail(`{{${text}}} has a ) too many`);
  return pipe;
}

/** Takes words away up to the end, or to a parenthesis that closes. */
function readCalls(words: string[], text: string): { pipe: Pipe; closing: string | undefined } {
  const calls: Argument[][] = [[]];
  let closing: string | undefined;
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word.startsWith(')')) {
      closing = word;
      break;
    }
    if (word === '|') calls.push([]);
    else calls.at(-1)?.push(word === '(' ? readGroup(words, text) : readArgument(word));
  }
  if (calls.some((call) => call.length === 0)) fail(`{{${text}}} lacks something beside |`);
  return { pipe: calls, closing };
}

function readGroup(words: string[], text: string): Argument {
  const { pipe, closing } = readCalls(words, text);
  if (closing === undefined) fail(`{{${text}}} has a ( that nothing closes`);
  return { kind: 'group', pipe, names: closing.slice(1).split('.').filter(Boolean) };
}

function readArgument(word: string): Argument {
  if (word.startsWith('"')) return { kind: 'literal', value: String(JSON.parse(word)) };
  if (word.startsWith('`')) return { kind: 'literal', value: word.slice(1, -1) };
  if (/^-?\d+(\.\d+)?$/.test(word)) return { kind: 'literal', value: Number(word) };
  if (word === 'true' || word === 'false') return { kind: 'literal', value: word === 'true' };
  const [, root, path = ''] = /^(\.|\$\w*)([\w.-]*)$/.exec(word) ?? [];
  if (root !== undefined) return { kind: 'path', root, names: path.split('.').filter(Boolean) };
  if (Object.hasOwn(FUNCTIONS, word)) return { kind: 'function', name: word };
  return fail(`there is no ${word}; there are ${Object.keys(FUNCTIONS).join(', ')}`);
}

/** What `.`, `$` and each variable stand for. */
type Scope = Readonly<Record<string, unknown>>;

function render(nodes: readonly Node[], scope: Scope): string {
  return nodes.map((node) => renderNode(node, scope)).join('');
}

function renderNode(node: Node, scope: Scope): string {
  if (node.kind === 'text') return node.text;
  const value = evaluate(node.pipe, scope);
  if (node.kind === 'value') return show(value);
  if (!isTrue(value)) return render(node.otherwise, scope);
  if (node.kind === 'range') return renderEach(node, value, scope);
  const [name] = node.variables;
  const named = name === undefined ? scope : { ...scope, [name]: value };
  return render(node.yes, node.kind === 'with' ? { ...named, '.': value } : named);
}

function renderEach(
  { yes, variables }: Extract<Node, { readonly yes: Node[] }>,
  value: unknown,
  scope: Scope,
): string {
  const [first, second] = variables;
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value as object);
  return entries
    .map(([key, item]) => {
      const named = second === undefined ? { [first ?? '.']: item } : { [first ?? '.']: key, [second]: item };
      return render(yes, { ...scope, ...named, '.': item });
    })
    .join('');
}

function evaluate(pipe: Pipe, scope: Scope): unknown {
  let last: unknown[] = [];
  for (const call of pipe) {
    const [first, ...rest] = call;
    const values = rest.map((argument) => resolved(argument, scope));
    if (first?.kind === 'function') last = [FUNCTIONS[first.name]?.(...values, ...last)];
    else last = [first === undefined ? undefined : resolved(first, scope)];
  }
  return last[0];
}

function resolved(argument: Argument, scope: Scope): unknown {
  switch (argument.kind) {
    case 'literal':
      return argument.value;
    case 'function':
      return FUNCTIONS[argument.name]?.();
    case 'group':
      return argument.names.reduce<unknown>(field, evaluate(argument.pipe, scope));
    case 'path':
      if (!Object.hasOwn(scope, argument.root)) fail(`there is no ${argument.root}`);
      return argument.names.reduce<unknown>(field, scope[argument.root]);
  }
}

/** By its exact name, or by one that differs in the case of letters; what is optional may lack. */
function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  if (Object.hasOwn(value, name)) return (value as Record<string, unknown>)[name];
  const key = Object.keys(value).find((each) => each.toLowerCase() === name.toLowerCase());
  if (key !== undefined) return (value as Record<string, unknown>)[key];
  return undefined;
}

function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function show(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return `[${value.map(show).join(' ')}]`;
  if (typeof value === 'object')
    return `map[${Object.entries(value)
      .map(([key, each]) => `${key}:${show(each)}`)
      .join(' ')}]`;
  return String(value);
}

const FUNCTIONS: Readonly<Record<string, (...values: unknown[]) => unknown>> = {
  json: (value) => JSON.stringify(value),
  len: (value) =>
    typeof value === 'string' || Array.isArray(value) ? value.length : Object.keys(value ?? {}).length,
  join: (list, separator) =>
    Array.isArray(list) ? list.map(show).join(String(separator ?? '')) : show(list),
  index: (value, key) => (Array.isArray(value) ? value[Number(key)] : field(value, String(key))),
  upper: (value) => show(value).toUpperCase(),
  lower: (value) => show(value).toLowerCase(),
  println: (value) => `${show(value)}\n`,
  eq: (a, b) => show(a) === show(b),
  ne: (a, b) => show(a) !== show(b),
  not: (value) => !isTrue(value),
  and: (...values) => [...values.filter((value) => !isTrue(value)).slice(0, 1), values.at(-1)][0],
  or: (...values) => values.find(isTrue) ?? values.at(-1),
  split: (value, separator) => show(value).split(String(separator ?? '')),
};
