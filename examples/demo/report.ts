/** What one step came to. */
export interface StepResult {
  readonly name: string;
  readonly ok: boolean;
  readonly ms: number;
  /** Why it did not hold. */
  readonly error?: string;
}

export interface Outcome {
  readonly ok: boolean;
  readonly kernel: 'linux' | 'fake';
  readonly steps: readonly StepResult[];
  readonly leaked: readonly string[];
}

/** How a run is told, as it happens and at its end. */
export interface Report {
  note(text: string): void;
  step(result: StepResult): void;
  end(outcome: Outcome): void;
}

/** For people: a line for each step as it happens, and the totals. */
export function textReport(write: (line: string) => void): Report {
  return {
    note: write,
    step({ name, ok, ms, error }) {
      write(`${ok ? '✓' : '✗'} ${ms.toFixed(1).padStart(7)} ms  ${name}`);
      if (error !== undefined) write(`${' '.repeat(14)}${error}`);
    },
    end({ ok, kernel, steps, leaked }) {
      for (const line of leaked) write(`✗ left behind: ${line}`);
      const held = steps.filter((step) => step.ok).length;
      const seconds = steps.reduce((sum, step) => sum + step.ms, 0) / 1000;
      const where = kernel === 'linux' ? 'the real kernel' : 'the fake kernel';
      const verdict = ok ? 'everything held' : 'FAILED';
      write('');
      write(
        `${verdict}: ${held} of ${steps.length} steps in ${seconds.toFixed(2)} s on ${where}, ${leaked.length} things left behind`,
      );
    },
  };
}

/** For programs: one JSON document, at the end. */
export function jsonReport(write: (line: string) => void): Report {
  return {
    note: () => undefined,
    step: () => undefined,
    end: (outcome) => write(JSON.stringify(outcome)),
  };
}
