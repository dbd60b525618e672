/** Docker's commands on a controller: as much of them as the recorded exchanges hold. */
import { parseArgs } from 'node:util';
import type { Endpoint, Network, NetworkController, Sandbox } from '../../../src/index.ts';

interface Container {
  readonly name: string;
  readonly network: string;
  readonly options: Parameters<Network['createEndpoint']>[0];
  sandbox?: Sandbox | undefined;
  endpoint?: Endpoint | undefined;
}

const repeated = { type: 'string' as const, multiple: true as const, default: [] as string[] };

/** A Docker client and the part of its daemon that asks for networks. */
export class DockerCommands {
  readonly #containers = new Map<string, Container>();
  controller: NetworkController;

  constructor(controller: NetworkController) {
    this.controller = controller;
  }

  /** @throws what the controller throws */
  async run(command: string): Promise<void> {
    const [, first = '', ...rest] = command.split(' ');
    if (first !== 'network') return this.#container(first, rest);
    const [verb = '', ...args] = rest;
    if (verb === 'create') await this.#createNetwork(args);
    else if (verb === 'rm') for (const name of args) await this.#network(name).delete();
    else if (verb === 'disconnect') await this.#detach(this.#find(args[1]));
    else if (verb === 'connect') await this.#connect(args);
    else throw new Error(`no such command: ${command}`);
  }

  async #createNetwork(args: string[]): Promise<void> {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        driver: { type: 'string' },
        'ipam-driver': { type: 'string' },
        opt: repeated,
        'ipam-opt': repeated,
        label: repeated,
        subnet: repeated,
        gateway: { type: 'string' },
        'ip-range': { type: 'string' },
        'aux-address': repeated,
        ipv6: { type: 'boolean', default: false },
      },
    });
    const pools = values.subnet.map((subnet) => ({
      subnet,
      gateway: values.gateway,
      ipRange: values['ip-range'],
      auxAddresses: pairs(values['aux-address']),
    }));
    await this.controller.createNetwork({
      name: positionals[0] ?? '',
      driver: values.driver,
      ipv6: values.ipv6,
      options: pairs(values.opt),
      labels: pairs(values.label),
      ipam: { driver: values['ipam-driver'], options: pairs(values['ipam-opt']), pools },
    });
  }

  async #container(verb: string, args: string[]): Promise<void> {
    if (verb === 'run') return this.#runContainer(args);
    const names = args.filter((arg) => !arg.startsWith('-') && arg !== '0');
    // A container that Docker refused to start has asked nobody for anything.
    for (const container of names.flatMap((name) => this.#containers.get(name) ?? [])) {
      if (verb === 'start') await this.#start(container);
      else if (verb === 'stop' || verb === 'rm') await this.stop(container);
      else throw new Error(`no such command: ${verb}`);
    }
  }

  async #runContainer(args: string[]): Promise<void> {
    const { values } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        detach: { type: 'boolean', short: 'd' },
        name: { type: 'string', default: '' },
        net: { type: 'string', default: '' },
        'network-alias': repeated,
        ip: { type: 'string' },
        'mac-address': { type: 'string' },
        publish: { ...repeated, short: 'p' },
        expose: repeated,
        restart: { type: 'string' },
        'stop-timeout': { type: 'string' },
      },
    });
    const ports = values.publish.map((text) => {
      const [host, container] = text.split(':').map(Number);
      return { host, container: container ?? 0, protocol: 'tcp' as const };
    });
    const exposed = [...ports.map(({ container }) => container), ...values.expose.map(Number)];
    const { name, net } = values;
    const options = {
      name,
      ipv4: values.ip,
      macAddress: values['mac-address'],
      aliases: values['network-alias'],
      ports,
      exposedPorts: exposed.map((port) => ({ port })),
    };
    const container: Container = { name, network: net, options };
    this.#containers.set(name, container);
    await this.#start(container);
  }

  /** Makes the sandbox and joins it; what fails leaves neither endpoint nor sandbox, as with Docker. */
  async #start(container: Container): Promise<void> {
    container.sandbox = await this.controller.createSandbox({ containerId: container.name });
    try {
      await this.#attach(container, container.options);
    } catch (error) {
      await this.stop(container);
      throw error;
    }
  }

  async #attach(container: Container, options: Container['options']): Promise<void> {
    container.endpoint = await this.#network(container.network).createEndpoint(options);
    if (container.sandbox) await container.endpoint.join(container.sandbox);
  }

  async #detach(container: Container): Promise<void> {
    const { endpoint, sandbox } = container;
    if (endpoint?.sandboxId && sandbox) await endpoint.leave(sandbox);
    await endpoint?.delete();
    container.endpoint = undefined;
  }

  async #connect(args: string[]): Promise<void> {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { ip: { type: 'string' }, 'driver-opt': repeated, alias: repeated },
    });
    const [, name] = positionals;
    const container = this.#find(name);
    await this.#attach(container, {
      name: container.name,
      ipv4: values.ip,
      aliases: values.alias,
      options: pairs(values['driver-opt']),
    });
  }

  async stop(container: Container): Promise<void> {
    await this.#detach(container);
    await container.sandbox?.delete();
    container.sandbox = undefined;
  }

  /** A daemon that ends stops its containers; those that are always to run start with the next one. */
  async restart(open: () => Promise<NetworkController>): Promise<void> {
    const running = [...this.#containers.values()].filter(({ sandbox }) => sandbox);
    for (const container of running) await this.stop(container);
    await this.controller.close();
    this.controller = await open();
    for (const container of running) await this.#start(container);
  }

  #network(name: string): Network {
    const network = this.controller.network(name);
    if (!network) throw new Error(`no such network: ${name}`);
    return network;
  }

  #find(name = ''): Container {
    const container = this.#containers.get(name);
    if (!container) throw new Error(`no such container: ${name}`);
    return container;
  }
}

function pairs(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]),
  );
}
