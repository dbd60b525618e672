/** Who may ask the server for browsers, by which names, and what an answer may be used for. */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { isLoopback } from '../../client/host.ts';
import { LibnetworkError } from '../../index.ts';

const METHODS = ['GET', 'HEAD'];

/**
 * Everything comes from this server, nothing is inline but scripts that are named, nobody frames it, and scripts write
 * no HTML as text.
 */
function policyOf(scripts: readonly string[]): string {
  return [
    "default-src 'none'",
    ["script-src 'self'", ...scripts].join(' '),
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ');
}

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
} as const;

/**
 * @param host the address that the server listens at
 * @param scripts the hashes of those within the page's own text
 */
export function addGuard(app: FastifyInstance, host: string, scripts: readonly string[]): void {
  const headers = { ...HEADERS, 'content-security-policy': policyOf(scripts) };
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headers);
    if (!METHODS.includes(request.method)) {
      const message = `${request.method} is not for browsers: this address is for reading alone`;
      return reply
        .code(405)
        .header('allow', METHODS.join(', '))
        .send({ error: { code: 'FORBIDDEN', message } });
    }
    const reason = refusalOf(request.headers, host);
    if (reason !== undefined) throw new LibnetworkError('FORBIDDEN', reason);
  });
}

/** Why a request is refused; `undefined` when it is not. */
export function refusalOf(headers: IncomingHttpHeaders, host: string): string | undefined {
  const asked = headers.host ?? '';
  if (!isOurName(asked, host)) return `this is not ${asked}: ask by the address that --web names`;
  const { 'sec-fetch-site': site, 'sec-fetch-mode': mode } = headers;
  // Browsers tell which site asks. A link may lead here; scripts and pictures of other sites may not use it.
  const isForeign = site !== undefined && site !== 'same-origin' && site !== 'none';
  return isForeign && mode !== 'navigate' ? 'pages of other sites may not ask this address' : undefined;
}

/**
 * A name that others own can be made to lead here (DNS rebinding), an address can't: addresses, `localhost` where the
 * server listens at the loopback, and the name that it was given.
 */
function isOurName(asked: string, host: string): boolean {
  const name = unbracketed(asked.replace(/:\d{1,5}$/, ''));
  if (name === asBrowsersAsk(host)) return true;
  const isAnywhere = host === '0.0.0.0' || host === '::';
  if (isLoopback(name)) return isAnywhere || isLoopback(host);
  return isAnywhere && isIP(name) !== 0;
}

/** In small letters, addresses of version 6 in their short form. */
function asBrowsersAsk(host: string): string {
  const url = `http://${isIPv6(host) ? `[${host}]` : host}`;
  return URL.canParse(url) ? unbracketed(new URL(url).hostname) : host;
}

function unbracketed(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}
