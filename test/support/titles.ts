import { readFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url);
const texts = new Map<string, string>();

/**
 * Whether a file has a test of that title: the first argument of a call, before its function.
 * @param title in it `…` stands for what a template fills in
 * @param file below the project's directory
 */
export function hasTest(file: string, title: string): boolean {
  const text = texts.get(file) ?? readFileSync(new URL(file, root), 'utf8');
  texts.set(file, text);
  const escaped = title.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = escaped.replaceAll('…', '\\$\\{[^}]+\\}');
  return new RegExp(`\\(\\s*(['"\`])${pattern}\\1,`).test(text);
}
