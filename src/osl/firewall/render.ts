/** The model as text that `nft -f` accepts: for people to read, and to check our own netlink encoding against. */
import { keyText, valueText } from './mark.ts';
import type {
  Action,
  Chain,
  ConnectionField,
  Element,
  ElementSet,
  Field,
  Hook,
  KeyType,
  Match,
  Rule,
  Table,
} from './model.ts';
import type { Operation, SetDeclaration, Transaction } from './transaction.ts';

const FIELDS: Readonly<Record<Field | ConnectionField, string>> = {
  nfproto: 'meta nfproto',
  iifname: 'iifname',
  oifname: 'oifname',
  'ip saddr': 'ip saddr',
  'ip daddr': 'ip daddr',
  'ip6 saddr': 'ip6 saddr',
  'ip6 daddr': 'ip6 daddr',
  'ct original ip daddr': 'ct original ip daddr',
  l4proto: 'meta l4proto',
  dport: 'th dport',
  mark: 'meta mark',
  'fib daddr type': 'fib daddr type',
  'fib saddr type': 'fib saddr type',
  'ct state': 'ct state',
  'ct status': 'ct status',
  'ct label': 'ct label',
};

const KEYS: Readonly<Record<KeyType, string>> = {
  ipv4: 'ipv4_addr',
  ipv6: 'ipv6_addr',
  ifname: 'ifname',
  protocol: 'inet_proto',
  port: 'inet_service',
  // Only where the key has a `typeof`, below.
  slot: 'integer',
};

/** A whole table, as `nft list table` would show it. */
export function renderTable(table: Table): string {
  const blocks = [...table.sets.map(setBlock), ...table.chains.map(chainBlock)];
  return `table inet ${table.name} {\n${blocks.join('\n')}}\n`;
}

/** A transaction as commands, one a line. */
export function renderTransaction({ table, operations }: Transaction): string {
  return operations.flatMap((operation) => commands(`inet ${table}`, operation)).join('');
}

export function renderRule(rule: Rule): string {
  const comment = `comment ${JSON.stringify(rule.comment)}`;
  return [...rule.match.map(matchText), actionText(rule.action), comment].join(' ');
}

function commands(table: string, operation: Operation): string[] {
  switch (operation.op) {
    case 'addTable':
      return [`add table ${table}\n`];
    case 'deleteTable':
      return [`delete table ${table}\n`];
    case 'addChain':
      return [`add chain ${table} ${operation.chain}${hookBlock(operation.hook)}\n`];
    case 'deleteChain':
      return [`delete chain ${table} ${operation.chain}\n`];
    case 'flushChain':
      return [`flush chain ${table} ${operation.chain}\n`];
    case 'addRules':
      return operation.rules.map((rule) => `add rule ${table} ${operation.chain} ${renderRule(rule)}\n`);
    case 'addSet':
      return [
        `add ${kindOf(operation.set)} ${table} ${operation.set.name} { ${typeText(operation.set)}; }\n`,
      ];
    case 'deleteSet':
      return [`delete ${kindOf(operation.set)} ${table} ${operation.set.name}\n`];
    case 'addElements':
    case 'deleteElements': {
      const verb = operation.op === 'addElements' ? 'add' : 'delete';
      const list = operation.elements.map((element) => elementText(operation.set, element)).join(', ');
      return [`${verb} element ${table} ${operation.set.name} { ${list} }\n`];
    }
  }
}

function setBlock(set: ElementSet): string {
  const elements = set.elements.map((element) => `\t\t\t${elementText(set, element)},\n`).join('');
  const list = elements === '' ? '' : `\t\telements = {\n${elements}\t\t}\n`;
  return `\t${kindOf(set)} ${set.name} {\n\t\t${typeText(set)}\n${list}\t}\n`;
}

function chainBlock({ name, hook, rules }: Chain): string {
  const place = hook === undefined ? '' : `\t\t${hookText(hook)}\n`;
  return `\tchain ${name} {\n${place}${rules.map((rule) => `\t\t${renderRule(rule)}\n`).join('')}\t}\n`;
}

function hookText({ type, hook, priority, policy }: Hook): string {
  return `type ${type} hook ${hook} priority ${priority}; policy ${policy};`;
}

function hookBlock(hook: Hook | undefined): string {
  return hook === undefined ? '' : ` { ${hookText(hook)} }`;
}

function kindOf(set: SetDeclaration): 'set' | 'map' {
  return set.value === 'none' ? 'set' : 'map';
}

/** What `nft` needs to be told of a key with a slot: the number it is drawn below is none of the type's. */
export const SLOTS = 65536;

function typeText({ key, value, timeouts }: SetDeclaration): string {
  if (key.includes('slot'))
    return key.includes('ipv4')
      ? `typeof ip daddr . numgen random mod ${SLOTS} : ip daddr`
      : `typeof ip6 daddr . numgen random mod ${SLOTS} : ip6 daddr`;
  const keys = key.map((type) => KEYS[type]).join(' . ');
  if (timeouts) return `type ${keys}; flags timeout`;
  if (value === 'none') return `type ${keys}`;
  if (value === 'verdict') return `type ${keys} : verdict`;
  return `type ${keys} : ${value === 'ipv4 . port' ? 'ipv4_addr' : 'ipv6_addr'} . inet_service`;
}

function elementText(set: SetDeclaration, { key, value, expires }: Element): string {
  const text = keyText(key.map((part, index) => (set.key[index] === 'ifname' ? JSON.stringify(part) : part)));
  if (expires !== undefined)
    return `${text} timeout ${Math.max(1, Math.ceil((expires - Date.now()) / 1000))}s`;
  return value === undefined ? text : `${text} : ${valueText(value)}`;
}

function matchText(match: Match): string {
  if ('fields' in match) return `${fieldsText(match.fields)} ${match.op === 'in' ? '' : '!= '}@${match.set}`;
  if (match.op === 'range') return `${FIELDS[match.field]} ${match.values.join('-')}`;
  if (match.field === 'mark') {
    const [value, mask] = match.values[0].split('/');
    return mask === undefined ? `meta mark ${value}` : `meta mark and ${mask} == ${value}`;
  }
  if (match.op === '!=' && match.field.startsWith('ct '))
    return `${FIELDS[match.field]} ! ${match.values.join(',')}`;
  const quoted = match.field === 'iifname' || match.field === 'oifname';
  const value = match.values.map((text) => (quoted ? JSON.stringify(text) : text)).join(',');
  return `${FIELDS[match.field]} ${match.op === '==' ? '' : '!= '}${value}`;
}

function fieldsText(fields: readonly Field[]): string {
  return fields.map((field) => FIELDS[field]).join(' . ');
}

function actionText(action: Action): string {
  switch (action.kind) {
    case 'vmap':
      return `${fieldsText(action.fields)} vmap @${action.map}`;
    case 'dnat':
      return `dnat ${action.family === 'ipv4' ? 'ip' : 'ip6'} to ${fieldsText(action.fields)} map @${action.map}`;
    case 'balance': {
      const ip = action.family === 'ipv4' ? 'ip' : 'ip6';
      return `dnat ${ip} to ${ip} daddr . numgen random mod ${action.among} map @${action.map}`;
    }
    case 'snat-to':
      return `snat ${action.family === 'ipv4' ? 'ip' : 'ip6'} to ${action.address}`;
    case 'masquerade':
      return 'masquerade';
    case 'label':
      return `ct label set ${action.bit}`;
    default:
      return valueText(action);
  }
}
