import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/bench/**', 'node_modules/**'],
    pool: 'forks',
    // Checkouts and development builds play appliances here.
    env: { HOLDFAST_UNSIGNED: 'accept' },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
