import { defineConfig } from 'vitest/config';

/** The tests that run inside: everything is some six times slower there, and nothing but TMPDIR can be written. */
export default defineConfig({
  cacheDir: `${process.env.TMPDIR}/vite`,
  test: {
    pool: 'forks',
    include: ['test/uml/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
