import { defineConfig } from 'vitest/config';

// e2e and conformance start real servers and clients: one file at a time, with time for slow machines.
const serial = { fileParallelism: false, testTimeout: 300_000, hookTimeout: 300_000 };

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    globalSetup: ['storage-drivers/s3/testing/run-of-tests.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{src,storage-drivers,bench}/**/*.test.ts'],
          exclude: ['**/*.e2e.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: [
            '{src,storage-drivers}/**/*.e2e.test.ts',
            'conformance/{clients,compatibility,crash,replicas}/**/*.test.ts',
          ],
          ...serial,
        },
      },
      { extends: true, test: { name: 'conformance', include: ['conformance/{api,official}/**/*.test.ts'], ...serial } },
    ],
  },
});
