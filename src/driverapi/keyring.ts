/**
 * The keyring contract: secrets that the hosts of a cluster share and replace from time to time, for drivers that
 * encrypt what passes between hosts. Keys come in generations. A new one is accepted by all members before any of
 * them sends with it, and the old one goes after the last has stopped: so nothing is lost while keys are replaced.
 */
import type { DriverWaits } from './driver.ts';

/** A host that encrypts, as it shows itself to the others. */
export interface Member {
  readonly host: string;
  /** Where other hosts reach it. */
  readonly address: string;
  /** Of this life of its associations: it takes a new one whenever it can't go on counting where it was. */
  readonly number: number;
  /** The newest generation that it takes packets of, from every member that it knows. */
  readonly accepts: number;
  /** The oldest generation that it still sends with. */
  readonly sends: number;
}

export interface KeyringView {
  /** Generations that packets may come with, the oldest first: one to three. */
  readonly generations: readonly number[];
  /** The one to send with, to every member that accepts it. */
  readonly sending: number;
  /** This host as it is shown, or was by an earlier controller. */
  readonly own: Member | undefined;
  readonly others: readonly Member[];
  /** Those that are there no more, as they were last: they may be cut off from the store alone. */
  readonly gone: readonly Member[];
  /** How often this host counted as gone: what the others knew of it may be forgotten since. */
  readonly lapses: number;
}

export interface Keyring {
  /** Undefined until it is followed and could be asked for. */
  readonly view: KeyringView | undefined;
  /** Begins to follow the keys and the members, and tells of every change. */
  follow(onChange: () => void): void;
  /** What is known, when it is; the first member of a cluster makes the first key. @throws UNAVAILABLE */
  known(waits?: DriverWaits): Promise<KeyringView>;
  /** A number that no member has had: 1 to 16777215, in turns. @throws UNAVAILABLE */
  newNumber(): Promise<number>;
  /**
   * Bytes that only who has the key of a generation can make, the same for the same purpose (HKDF, RFC 5869).
   * @throws NOT_FOUND for a generation that is none of `view`
   */
  derive(generation: number, purpose: string, bytes: number): Uint8Array;
  /** Shows how far this host is. With the first call it is a member. @throws UNAVAILABLE: it is shown later */
  report(own: Omit<Member, 'host'>): Promise<void>;
  /** It is a member no more, and follows nothing. */
  leave(): Promise<void>;
}
