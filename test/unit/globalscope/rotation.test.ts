/** The rotation of keys as a model: hosts that learn and act at any time, and packets at every moment between. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KeyringView, Member } from '../../../src/driverapi/keyring.ts';
import { associationsOf, guardsOf } from '../../../src/drivers/overlay/encryption/associations.ts';
import { differenceOf, stateName } from '../../../src/drivers/overlay/encryption/changes.ts';
import {
  announce,
  type Clock,
  canAnnounce,
  firstKeys,
  GRACE_MS,
  type Keys,
  nextStep,
} from '../../../src/globalscope/rotation.ts';
import type { XfrmChange, XfrmPolicy, XfrmState } from '../../../src/osl/osl.ts';

const PORT = 4796;
const mark = { reqid: 77, priority: 1_077 };
const ROTATE_MS = 1_000_000;
const START = Date.parse('2026-01-01T00:00:00Z');
const secretOf = (n: number): string => Buffer.alloc(32, n).toString('base64');
const member = (host: string, accepts: number, sends: number): Member => ({
  host,
  address: `192.0.2.${host.slice(1)}`,
  number: Number(host.slice(1)) * 100,
  accepts,
  sends,
});

interface Packet {
  readonly to: string;
  readonly spi: number;
  readonly key: Uint8Array;
}

/** What hosts share, with versions. */
class Shared {
  keys = firstKeys(secretOf(1), START);
  version = 1;
  readonly members = new Map<string, Member>();
}

class Machine {
  readonly name: string;
  readonly #shared: Shared;
  keys: Keys;
  version: number;
  readonly members = new Map<string, Member>();
  states: readonly XfrmState[] = [];
  policies: readonly XfrmPolicy[] = [];
  #todo: XfrmChange[] = [];
  #report: Member | undefined;

  constructor(name: string, shared: Shared) {
    this.name = name;
    this.#shared = shared;
    this.keys = shared.keys;
    this.version = shared.version;
  }

  get address(): string {
    return member(this.name, 0, 0).address;
  }

  get busy(): boolean {
    return this.#todo.length > 0 || this.#report !== undefined;
  }

  learnKeys(): void {
    this.keys = this.#shared.keys;
    this.version = this.#shared.version;
  }

  learnMember(other: string): void {
    const known = this.#shared.members.get(other);
    if (known) this.members.set(other, known);
  }

  /** Decides what to do; it is done change by change. */
  plan(): void {
    if (this.busy) return;
    const own = { address: this.address, number: member(this.name, 0, 0).number };
    const others = [...this.members.values()].filter(({ host }) => host !== this.name);
    const generations = this.keys.generations.map(({ id }) => id);
    const view: KeyringView = {
      ...{ generations, sending: this.keys.sending, own: undefined, others, gone: [], lapses: 0 },
    };
    const derive = (generation: number, purpose: string) => Buffer.from(`${generation} ${purpose}`);
    const wanted = associationsOf(view, own, others, { ports: [PORT], mark, derive });
    const policies = [...guardsOf(own.address, PORT, mark), ...wanted.policies];
    this.#todo = [...differenceOf(this, { states: wanted.states, policies }, mark).changes];
    this.#report = member(this.name, wanted.accepts, wanted.sends);
  }

  /** One change of the kernel's tables, or the report after the last. */
  step(): void {
    const change = this.#todo.shift();
    if (change) this.#change(change);
    else if (this.#report) {
      this.#shared.members.set(this.name, this.#report);
      this.#report = undefined;
    }
  }

  /** Sends a packet as the policies say; undefined where it is dropped. */
  send(to: Machine): Packet | undefined {
    const policy = this.policies.find(({ direction, template }) => {
      return direction === 'out' && template?.destination === to.address;
    });
    const state = this.states.find(
      ({ spi, destination }) => destination === to.address && spi === policy?.template?.spi,
    );
    return state && { to: to.name, spi: state.spi, key: state.key };
  }

  takes({ spi, key }: Packet): boolean {
    const name = stateName({ destination: this.address, spi });
    const state = this.states.find((each) => stateName(each) === name);
    return state !== undefined && Buffer.compare(state.key, key) === 0;
  }

  #change(change: XfrmChange): void {
    const sameState = (a: { destination: string; spi: number }) => (b: XfrmState) =>
      stateName(a) === stateName(b);
    const samePolicy = (a: Pick<XfrmPolicy, 'direction' | 'selector'>) => (b: XfrmPolicy) =>
      a.direction === b.direction && JSON.stringify(a.selector) === JSON.stringify(b.selector);
    switch (change.op) {
      case 'addState':
        expect(this.states.some(sameState(change.state))).toBe(false);
        this.states = [...this.states, change.state];
        break;
      case 'deleteState':
        this.states = this.states.filter((each) => !sameState(change.state)(each));
        break;
      case 'setPolicy':
        this.policies = [...this.policies.filter((each) => !samePolicy(change.policy)(each)), change.policy];
        break;
      case 'deletePolicy':
        this.policies = this.policies.filter((each) => !samePolicy(change.policy)(each));
    }
  }
}

type Command =
  | { readonly do: 'learn keys' | 'plan' | 'step' | 'lead' | 'rotate' | 'deliver'; readonly host: number }
  | { readonly do: 'learn member' | 'send'; readonly host: number; readonly other: number };

/** A cluster whose hosts know each other, and whatever happens then. */
class Cluster {
  readonly shared = new Shared();
  readonly machines: readonly Machine[];
  #flying: Packet[] = [];
  #secrets = 1;
  readonly #now = START;
  sent = 0;

  constructor(count: number) {
    this.machines = Array.from({ length: count }, (_, i) => new Machine(`h${i + 1}`, this.shared));
    // Each says that it is there before the next one does.
    for (const { name } of this.machines) this.shared.members.set(name, member(name, 0, 1));
    this.settle();
  }

  at(index: number): Machine {
    const machine = this.machines[index % this.machines.length];
    if (!machine) throw new Error('a cluster has machines');
    return machine;
  }

  run(command: Command): void {
    const machine = this.at(command.host);
    if (command.do === 'learn keys') machine.learnKeys();
    else if (command.do === 'learn member') machine.learnMember(this.at(command.other).name);
    else if (command.do === 'plan') machine.plan();
    else if (command.do === 'step') machine.step();
    else if (command.do === 'lead') this.#lead(machine);
    else if (command.do === 'send') this.#send(machine, this.at(command.other));
    else if (command.do === 'deliver') this.#deliver();
    else if (canAnnounce(this.shared.keys))
      this.#write(announce(this.shared.keys, secretOf(++this.#secrets), this.#now));
  }

  /** Everything goes on until nothing is left to do. */
  settle(): void {
    for (let round = 0; round < 20; round++) {
      for (const machine of this.machines) {
        machine.learnKeys();
        for (const { name } of this.machines) machine.learnMember(name);
        machine.plan();
        while (machine.busy) machine.step();
        this.#lead(machine);
      }
    }
  }

  #send(from: Machine, to: Machine): void {
    if (from === to) return;
    const packet = from.send(to);
    // Hosts that know each other always have a way, and it is never in the clear.
    expect(packet, `${from.name} can send to ${to.name}`).toBeDefined();
    if (packet) this.#flying.push(packet);
    this.sent++;
  }

  #deliver(): void {
    for (const packet of this.#flying.splice(0)) {
      const to = this.machines.find(({ name }) => name === packet.to);
      expect(to?.takes(packet), `${packet.to} takes a packet by ${packet.spi.toString(16)}`).toBe(true);
    }
  }

  #lead(machine: Machine): void {
    const members = [...machine.members.values()];
    const clock: Clock = { now: this.#now, settledAt: this.#now - GRACE_MS, rotateMs: ROTATE_MS };
    const step = nextStep(machine.keys, members, clock, () => secretOf(++this.#secrets));
    if (step.do !== 'write' || machine.version !== this.shared.version) return;
    // What was sent before the last of them stopped has had its time to arrive.
    if (step.keys.generations.length < this.shared.keys.generations.length) this.#deliver();
    this.#write(step.keys);
  }

  #write(keys: Keys): void {
    this.shared.keys = keys;
    this.shared.version++;
  }
}

const hosts = fc.nat(2);
const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constantFrom('learn keys', 'plan', 'step', 'step', 'step', 'lead', 'rotate', 'deliver'),
        host: hosts,
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constantFrom('learn member', 'send'), host: hosts, other: hosts }),
    },
  ) as fc.Arbitrary<Command>,
  { minLength: 50, maxLength: 400 },
);

describe('the rotation of keys', () => {
  it('lets every packet be read by its receiver, however the steps of two or three hosts interleave', () => {
    let sent = 0;
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 3 }), commands, (count, all) => {
        const cluster = new Cluster(count);
        for (const command of all) cluster.run(command);
        cluster.run({ do: 'deliver', host: 0 });
        sent += cluster.sent;
        cluster.settle();
        expect(cluster.shared.keys.generations.map(({ id }) => id)).toEqual([cluster.shared.keys.sending]);
        for (const { states } of cluster.machines) expect(states).toHaveLength(2 * (count - 1));
      }),
      { numRuns: 300 },
    );
    expect(sent).toBeGreaterThan(1_000);
  });

  it('loses packets in the model, were the sender to switch before all accept (the model can fail)', () => {
    const cluster = new Cluster(2);
    cluster.run({ do: 'rotate', host: 0 });
    const [one, two] = [cluster.at(0), cluster.at(1)];
    one.learnKeys();
    one.keys = { ...one.keys, sending: 2 };
    one.members.set('h2', member('h2', 2, 1));
    one.plan();
    while (one.busy) one.step();
    const packet = one.send(two);
    expect(packet && two.takes(packet)).toBe(false);
  });

  const clock = { now: START + 10, settledAt: undefined, rotateMs: ROTATE_MS };
  const never = (): string => {
    throw new Error('no key is needed');
  };

  it('waits for every member to accept the new key, and for every one to leave the old', () => {
    const announced = announce(firstKeys(secretOf(1), START), secretOf(2), START);
    expect(nextStep(announced, [member('h1', 2, 1), member('h2', 1, 1)], clock, never)).toEqual({
      do: 'nothing',
    });
    const switched = nextStep(announced, [member('h1', 2, 1), member('h2', 2, 1)], clock, never);
    expect(switched).toMatchObject({ do: 'write', keys: { sending: 2 } });
    if (switched.do !== 'write') throw new Error('it is written');
    const behind = [member('h1', 2, 2), member('h2', 2, 1)];
    expect(nextStep(switched.keys, behind, clock, never)).toEqual({ do: 'nothing' });
    const all = behind.map(({ host }) => member(host, 2, 2));
    expect(nextStep(switched.keys, all, clock, never)).toEqual({
      do: 'wait',
      until: clock.now + GRACE_MS,
    });
    const later = { ...clock, settledAt: clock.now, now: clock.now + GRACE_MS };
    expect(nextStep(switched.keys, all, later, never)).toMatchObject({
      do: 'write',
      keys: { generations: [{ id: 2 }] },
    });
  });

  it('begins by itself when the key has reached its age, and keeps no more than three', () => {
    const keys = firstKeys(secretOf(1), START);
    expect(nextStep(keys, [], clock, never)).toEqual({ do: 'wait', until: START + ROTATE_MS });
    const due = nextStep(keys, [], { ...clock, now: START + ROTATE_MS }, () => secretOf(2));
    expect(due).toMatchObject({ do: 'write', keys: { sending: 1, generations: [{ id: 1 }, { id: 2 }] } });
    const two = { ...announce(keys, secretOf(2), START), sending: 2 };
    const three = announce(two, secretOf(3), START);
    expect(canAnnounce(two)).toBe(true);
    expect(canAnnounce(three)).toBe(false);
    expect(canAnnounce({ ...three, sending: 3 })).toBe(false);
  });
});
