/**
 * What upstream's tests ask of libnetwork (those of its classic and its current tree, and what follows from its code
 * where it has no tests), and which tests of ours hold it. Where the two trees differ the current one counts.
 */
export interface Behaviour {
  readonly what: string;
  /** File below `test/` or `src/`, and title. */
  readonly held: readonly (readonly [file: string, title: string])[];
  /** What is otherwise here, and why. */
  readonly differs?: string;
}

/** By number, in upstream's order. */
export type Behaviours = Readonly<Record<number, Behaviour>>;
