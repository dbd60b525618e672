/** Events by name, as the daemon's stream names them: a browser hears only of those that it asks for. */
export const HAPPENINGS = [
  ...['network', 'endpoint', 'service', 'sandbox'].flatMap((what) =>
    ['create', 'update', 'delete'].map((verb) => `${what}:${verb}`),
  ),
  'endpoint:join',
  'endpoint:leave',
  'endpoint:lost',
  'reconcile',
] as const;
