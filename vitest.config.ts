import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{libs,services,haproxy,test,tools,deploy}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Real nodes on two busy cores: a test may try twice. One that needs it is a fault to be found, not to be lived with.
    retry: 1,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
