import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/bench/**', 'node_modules/**'],
    pool: 'forks',
    // Checkouts and development builds play appliances here.
    env: { HOLDFAST_UNSIGNED: 'accept' },
    // Only what hangs gets there: the machine may be slow, and busy with something else.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
