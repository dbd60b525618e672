/** Who is where in the example's own world: addresses for documentation, and private ones for its networks. */

/** The only names that the sandbox may reach, at port 443 only. */
export const ALLOWED = [
  { name: 'registry.example', ipv4: '198.51.100.10', ipv6: '2001:db8:100::10' },
  { name: 'packages.example', ipv4: '198.51.100.11', ipv6: '2001:db8:100::11' },
] as const;

export const EVIL = { name: 'evil.example', ipv4: '203.0.113.66', ipv6: '2001:db8:666::66' } as const;
/** Where clouds tell machines their secrets. */
export const METADATA = { ipv4: '169.254.169.254', ipv6: 'fd00:ec2::254' } as const;
/** The outside's name server, and the host's way out. */
export const OUTSIDE = { ipv4: '192.0.2.2', ipv6: '2001:db8::2' } as const;
export const HOST = {
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  gateway4: '10.66.0.1',
  gateway6: 'fd00:66::1',
} as const;
/** Of the sandbox's network. */
export const BRIDGE = 'br-confined';
export const NEIGHBOUR = { name: 'neighbour', ipv4: '10.66.0.7', ipv6: 'fd00:66::7' } as const;
export const STRANGER = { ipv4: '10.67.0.7', published: 8443 } as const;
export const GUEST = { ipv4: '10.66.0.9', ipv6: 'fd00:66::9' } as const;
