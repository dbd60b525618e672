/** What is missing or odd on this host, and what to do about it. Reads only. */
import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { kernelAvailability, LibnetworkError } from '../index.ts';
import type { ApiContext } from './context.ts';

export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'failure';
  readonly found: string;
  /** What to do; where nothing is wrong, nothing. */
  readonly advice?: string | undefined;
}

type Check = (context: ApiContext) => Promise<Finding>;

export async function examine(context: ApiContext): Promise<readonly Finding[]> {
  return Promise.all(CHECKS.map((check) => check(context)));
}

/** What can be told without a daemon, and without the rights for one. */
export async function examineHost(): Promise<readonly Finding[]> {
  return Promise.all([
    checkNode(),
    checkRealKernel(),
    checkBridgeFilter(),
    checkDocker(),
    checkDescriptors(),
    checkConnections(),
  ]);
}

const CHECKS: readonly Check[] = [
  checkNode,
  checkKernel,
  checkForwarding('ipv4', '/proc/sys/net/ipv4/ip_forward', 'net.ipv4.ip_forward'),
  checkForwarding('ipv6', '/proc/sys/net/ipv6/conf/all/forwarding', 'net.ipv6.conf.all.forwarding'),
  checkBridgeFilter,
  checkFirewalld,
  checkDocker,
  checkDescriptors,
  checkConnections,
  checkNeighbours,
  checkDirectory,
  checkCluster,
  checkLeftovers,
];

async function checkNode(): Promise<Finding> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isNew = major > 20 || (major === 20 && minor >= 19);
  return {
    check: 'Node.js',
    status: isNew ? 'ok' : 'failure',
    found: process.version,
    advice: isNew ? undefined : 'install Node.js 20.19 or newer',
  };
}

async function checkKernel({ about }: ApiContext): Promise<Finding> {
  if (about.kernel === 'linux') return checkRealKernel();
  return {
    check: 'kernel',
    status: 'warning',
    found: 'the fake one',
    advice: 'leave --fake out for real networks',
  };
}

async function checkRealKernel(): Promise<Finding> {
  const { available, reason } = kernelAvailability();
  return {
    check: 'kernel',
    status: available ? 'ok' : 'failure',
    found: available ? 'namespaces and netlink can be used' : reason,
    advice: available ? undefined : 'run as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN',
  };
}

function checkForwarding(family: string, path: string, key: string): Check {
  return async ({ controller }) => {
    const value = (await read(path))?.trim();
    const isNeeded = controller
      .networks()
      .some((network) => network.driver === 'bridge' && !network.internal);
    const isOn = value === '1';
    const check = `${family} forwarding`;
    if (value === undefined)
      return {
        check,
        status: 'warning',
        found: `this kernel has no ${family}`,
        advice: `do without ${family}`,
      };
    const isBad = isNeeded && !isOn && family === 'ipv4';
    return {
      check,
      status: isBad ? 'warning' : 'ok',
      found: `${key} = ${value}`,
      advice: isBad ? `somebody has switched it off: sysctl -w ${key}=1` : undefined,
    };
  };
}

async function checkBridgeFilter(): Promise<Finding> {
  const value = (await read('/proc/sys/net/bridge/bridge-nf-call-iptables'))?.trim();
  return {
    check: 'bridged packets and rules',
    status: 'ok',
    found:
      value === undefined
        ? 'br_netfilter is not loaded: packets inside one bridge pass no rules'
        : `net.bridge.bridge-nf-call-iptables = ${value}`,
  };
}

async function checkFirewalld({ controller }: ApiContext): Promise<Finding> {
  const isThere = (await read('/run/firewalld.pid')) !== undefined;
  return {
    check: 'firewalld',
    status: isThere ? 'warning' : 'ok',
    found: isThere ? `it runs, and the engine here is ${controller.firewall.engine}` : 'does not run',
    advice: isThere
      ? 'put the bridges into a zone that lets them forward, or use the engine iptables'
      : undefined,
  };
}

async function checkDocker(): Promise<Finding> {
  const pid = (await read('/run/docker.pid'))?.trim();
  const isAlive = pid !== undefined && (await read(`/proc/${pid}/comm`))?.trim() === 'dockerd';
  return {
    check: 'Docker',
    status: isAlive ? 'warning' : 'ok',
    found: isAlive ? `dockerd runs as process ${pid}` : 'no dockerd of this host',
    advice: isAlive ? 'start without predefined networks (--no-predefined): docker0 is its own' : undefined,
  };
}

const FEW_DESCRIPTORS = 4096;

async function checkDescriptors(): Promise<Finding> {
  const limits = await read('/proc/self/limits');
  const soft = Number(/^Max open files\s+(\d+)/m.exec(limits ?? '')?.[1] ?? Number.NaN);
  const isFew = soft < FEW_DESCRIPTORS;
  return {
    check: 'open files',
    status: isFew ? 'warning' : 'ok',
    found: Number.isNaN(soft) ? 'not limited' : `at most ${soft}`,
    advice: isFew ? 'a sandbox needs about 6: raise LimitNOFILE of the unit, or ulimit -n' : undefined,
  };
}

const NEARLY_FULL = 0.8;

async function checkConnections(): Promise<Finding> {
  const check = 'tracked connections';
  const [count, max] = await Promise.all(
    ['count', 'max'].map(async (name) => Number(await read(`/proc/sys/net/netfilter/nf_conntrack_${name}`))),
  );
  if (!count || !max) return { check, status: 'ok', found: 'none' };
  const isFull = count > max * NEARLY_FULL;
  return {
    check,
    status: isFull ? 'warning' : 'ok',
    found: `${count} of ${max}`,
    advice: isFull
      ? `new connections will fail soon: sysctl -w net.netfilter.nf_conntrack_max=${max * 2}`
      : undefined,
  };
}

async function checkNeighbours({ controller }: ApiContext): Promise<Finding> {
  const most = Number(await read('/proc/sys/net/ipv4/neigh/default/gc_thresh3'));
  const endpoints = controller.networks().reduce((sum, network) => sum + network.endpoints().length, 0);
  const isFew = most > 0 && endpoints * 2 > most;
  return {
    check: 'neighbour table',
    status: isFew ? 'warning' : 'ok',
    found: `${endpoints} endpoints, room for ${most || 'any number'}`,
    advice: isFew ? `sysctl -w net.ipv4.neigh.default.gc_thresh3=${most * 4}` : undefined,
  };
}

async function checkDirectory({ controller }: ApiContext): Promise<Finding> {
  const { runDir } = controller.parts;
  try {
    await access(runDir, constants.W_OK);
    return { check: 'run directory', status: 'ok', found: runDir };
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return {
      check: 'run directory',
      status: isAbsent ? 'ok' : 'failure',
      found: isAbsent ? `${runDir}, made when it is needed` : `${runDir} can't be written to`,
      advice: isAbsent ? undefined : 'give another one with --run-dir, or make it writable',
    };
  }
}

async function checkCluster({ controller }: ApiContext): Promise<Finding> {
  const check = 'cluster';
  try {
    const hosts = await controller.hosts();
    if (hosts.length === 0) return { check, status: 'ok', found: 'none' };
    const live = hosts.filter((host) => host.live).length;
    const isThere = hosts.some((host) => host.live && host.self);
    return {
      check,
      status: isThere ? 'ok' : 'warning',
      found: `${live} of ${hosts.length} hosts live${isThere ? '' : ', and this one does not count as living'}`,
      advice: isThere ? undefined : 'see in the log of the daemon why: another host may have its name',
    };
  } catch (error) {
    if (!LibnetworkError.is(error)) throw error;
    const advice =
      'see whether the store runs, and whether its address, firewall, certificates and user are right';
    return { check, status: 'failure', found: error.message, advice };
  }
}

async function checkLeftovers({ controller }: ApiContext): Promise<Finding> {
  const { missing, orphaned } = await controller.reconcile({ dryRun: true });
  const isOdd = missing.length + orphaned.length > 0;
  return {
    check: 'kernel and records',
    status: isOdd ? 'warning' : 'ok',
    found: isOdd
      ? [...missing.map((it) => `missing: ${it}`), ...orphaned.map((it) => `left: ${it}`)].join('; ')
      : 'agree',
    advice: isOdd ? 'dnet reconcile' : undefined,
  };
}

/** `undefined` for what is not there, or can't be read. */
async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // What can't be read is not known.
    return undefined;
  }
}
