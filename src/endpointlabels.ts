/** What Docker's clients say of an endpoint by its driver's options, as the options of ours that it stands for. */
import type { EndpointOptions } from './endpointoptions.ts';
import { invalid } from './errors.ts';
import { labels, textOption } from './labels.ts';
import { type Parsed, parseOptions } from './options.ts';

/**
 * Checks an endpoint's options. `com.docker.network.endpoint.ifname` is its `interfaceName`, and
 * `com.docker.network.endpoint.sysctls` (`net.ipv4.conf.IFNAME.forwarding=1,…`) its `sysctls`, where these don't say
 * otherwise.
 * @throws INVALID_ARGUMENT naming the field and the value
 */
export function parseEndpoint(options: EndpointOptions): Parsed<'endpoint'> {
  const parsed = parseOptions('endpoint', options);
  const named = textOption(parsed.options, labels.endpoint.interfaceName);
  const sysctls = textOption(parsed.options, labels.endpoint.sysctls);
  if (named === undefined && sysctls === undefined) return parsed;
  return parseOptions('endpoint', {
    ...options,
    interfaceName: parsed.interfaceName ?? named,
    sysctls: { ...readSysctls(sysctls ?? ''), ...parsed.sysctls },
  });
}

function readSysctls(text: string): Record<string, string> {
  const entries = text.split(',').filter((part) => part.trim() !== '');
  return Object.fromEntries(
    entries.map((entry) => {
      const [, key, value] = /^\s*([^=]+?)\s*=(.*)$/.exec(entry) ?? [];
      if (key === undefined || value === undefined)
        throw invalid(labels.endpoint.sysctls, text, 'must be such as net.ipv4.conf.IFNAME.forwarding=1');
      return [key, value.trim()];
    }),
  );
}
