import { describe, expect, it } from 'vitest';
import { compileTemplate } from '../../../src/cmd/template.ts';
import { LibnetworkError } from '../../../src/errors.ts';

const data = {
  id: 'abc',
  name: 'front',
  labels: { tier: 'web', empty: '' },
  aliases: ['www', 'w3'],
  ports: [
    { host: 8080, container: 80 },
    { host: 8443, container: 443 },
  ],
  none: [],
};

describe('templates of --format', () => {
  it.each([
    ['{{.Name}}', 'front'],
    ['{{.name}} {{.ID}}', 'front abc'],
    ['{{json .Labels}}', '{"tier":"web","empty":""}'],
    ['{{.Labels.tier}}', 'web'],
    ['{{index .Labels "tier"}}', 'web'],
    ['{{index .Aliases 1}}', 'w3'],
    ['{{len .Aliases}}/{{len .Name}}/{{len .Labels}}', '2/5/2'],
    ['{{join .Aliases ","}}', 'www,w3'],
    ['{{range .Ports}}{{.Host}}->{{.Container}} {{$.Name}};{{end}}', '8080->80 front;8443->443 front;'],
    ['{{range .None}}x{{else}}nothing{{end}}', 'nothing'],
    ['{{if .Labels.empty}}yes{{else}}no{{end}}', 'no'],
    ['{{if eq .Name "front"}}yes{{end}}', 'yes'],
    ['{{with .Labels}}{{.tier}}{{end}}', 'web'],
    ['{{.Name | upper}}', 'FRONT'],
    ['{{.Aliases}} {{.Labels}}', '[www w3] map[tier:web empty:]'],
    ['{{.Missing}}', ''],
    ['a {{- .Name -}} b', 'afrontb'],
    ['{{.Name}}\\t{{.ID}}', 'front\tabc'],
    ['{{"a b"}}{{`c`}}', 'a bc'],
    ['plain', 'plain'],
    ['{{range $key, $value := .Labels}}{{$key}}={{$value}};{{end}}', 'tier=web;empty=;'],
    ['{{range $i, $port := .Ports}}{{$i}}:{{$port.Host}} {{.Container}} {{end}}', '0:8080 80 1:8443 443 '],
    ['{{range $port := .Ports}}{{$port.Host}} {{end}}', '8080 8443 '],
    ['{{with $l := .Labels}}{{$l.tier}}{{end}}', 'web'],
    ['{{if .None}}a{{else if .Labels.empty}}b{{else if .Name}}c{{else}}d{{end}}!', 'c!'],
    ['{{if .None}}a{{else if .Labels.empty}}b{{else}}d{{end}}!', 'd!'],
    ['{{(index .Ports 1).Host}} {{len (split .Name "o")}}', '8443 2'],
    ['{{if and .Name (not .None)}}yes{{end}} {{or .Labels.empty .Name}}', 'yes front'],
    ['{{if and .Missing .Name}}yes{{else}}no{{end}}', 'no'],
    ['{{/* a note */}}{{.Name}}', 'front'],
  ])('%s', (template, text) => {
    expect(compileTemplate(template)(data)).toBe(text);
  });

  it.each(['{{', '{{nosuch .}}', '{{if .A}}', '{{end}}', '{{}}', '{{.A |}}', '{{(.A}}', '{{.A)}}'])(
    'refuses %s, naming the field',
    (template) => {
      expect(() => compileTemplate(template)).toThrow(LibnetworkError);
      expect(() => compileTemplate(template)).toThrow(/^the template of --format: /);
    },
  );

  it('refuses a variable that stands for nothing', () => {
    expect(() => compileTemplate('{{$nosuch}}')(data)).toThrow('there is no $nosuch');
  });

  it('never reaches what an object inherits', () => {
    expect(compileTemplate('{{.constructor}}{{.__proto__}}{{.toString}}')(data)).toBe('');
  });
});
