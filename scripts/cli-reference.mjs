/** Writes the reference of the commands into docs/dnet.md, from the commands themselves: `node scripts/cli-reference.mjs`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { makeProgram } from '../dist/cmd/program.js';

const START = '<!-- commands: written by scripts/cli-reference.mjs -->';
const END = '<!-- end of commands -->';

/** The help of every command, as Markdown. */
export function reference() {
  const parts = [];
  const visit = (command, path) => {
    const name = [...path, command.name()].join(' ');
    const leaf = command.commands.length === 0;
    if (leaf || path.length === 0) {
      command.configureHelp({ helpWidth: 100, showGlobalOptions: false });
      parts.push(`### ${name}\n\n\`\`\`\n${command.helpInformation().trimEnd()}\n\`\`\`\n`);
    }
    for (const each of command.commands) visit(each, [...path, command.name()]);
  };
  const nothing = { write: () => true };
  visit(makeProgram({ out: nothing, err: nothing }), []);
  return parts.join('\n');
}

/** The page with its reference as it should be. */
export function page(text) {
  const [before, rest] = text.split(START);
  const [, after] = rest.split(END);
  return `${before}${START}\n\n${reference()}\n${END}${after}`;
}

if (process.argv[1]?.endsWith('cli-reference.mjs')) {
  const file = new URL('../docs/dnet.md', import.meta.url);
  writeFileSync(file, page(readFileSync(file, 'utf8')));
}
