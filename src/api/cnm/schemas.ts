/** Absent and `null` are one, as in Go. */
export const text = { type: ['string', 'null'] } as const;
export const texts = { type: ['array', 'null'], items: { type: 'string' }, maxItems: 1024 } as const;
export const map = {
  type: ['object', 'null'],
  additionalProperties: { type: 'string' },
  maxProperties: 1024,
} as const;

/** The names by which lists are narrowed. */
export const queries = (...names: readonly string[]) => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
});

export const joinBody = {
  type: ['object', 'null'],
  properties: { sandbox_id: text, aliases: texts },
} as const;

export interface JoinBody {
  readonly sandbox_id?: string | null;
  /** `container:alias` */
  readonly aliases?: readonly string[] | null;
}
