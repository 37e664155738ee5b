import { defineConfig } from 'vitest/config';

// e2e and conformance start real servers and clients: one file at a time, with time for slow machines.
const serial = { fileParallelism: false, testTimeout: 300_000, hookTimeout: 300_000 };

/** Registries that keep their content in S3. @param redirect whether they send clients there for blobs */
const onS3 = (redirect: 'on' | 'off') => ({ env: { BERTH_STORAGE: 's3', BERTH_REDIRECT: redirect } });

const conformance = ['conformance/{api,official}/**/*.test.ts'];
// What starts its own registries on S3, and what reads reports only, need not run once for each storage.
const whateverTheStorage = ['conformance/api/redirects.test.ts', 'conformance/official/junit.test.ts'];

// What cannot follow a redirect: raw connections; and a suite that wants Docker-Content-Digest from the storage.
const followingNothing = ['conformance/api/connections.test.ts', 'conformance/official/main-dev.test.ts'];

const clients = (...names: string[]) => names.map((name) => `conformance/clients/${name}.test.ts`);

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
            'conformance/{auth,clients,mirror,compatibility,crash,faults,observe,replicas}/**/*.test.ts',
          ],
          ...serial,
        },
      },
      { extends: true, test: { name: 'conformance', include: conformance, ...serial } },

      // The same on S3. Of the clients those that are most in use; what is left out is in conformance/README.md.
      {
        extends: true,
        test: {
          name: 'e2e-s3',
          include: clients('containerd', 'crane', 'docker', 'podman', 'skopeo'),
          ...onS3('on'),
          ...serial,
        },
      },
      {
        extends: true,
        test: { name: 'e2e-s3-through', include: clients('docker', 'large'), ...onS3('off'), ...serial },
      },
      {
        extends: true,
        test: {
          name: 'conformance-s3',
          include: conformance,
          exclude: [...whateverTheStorage, ...followingNothing],
          ...onS3('on'),
          ...serial,
        },
      },
      {
        extends: true,
        test: {
          name: 'conformance-s3-through',
          include: ['conformance/api/**/*.test.ts'],
          exclude: whateverTheStorage,
          ...onS3('off'),
          ...serial,
        },
      },
    ],
  },
});
