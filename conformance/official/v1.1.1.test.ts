import { randomUUID } from 'node:crypto';
import { type Profile, testSuite } from './official.ts';
import { released } from './suites.ts';

const profile: Profile = {
  name: '',
  environment: ({ origin }, reports) => ({
    OCI_ROOT_URL: origin,
    OCI_NAMESPACE: `conformance/${randomUUID()}`,
    OCI_CROSSMOUNT_NAMESPACE: `conformance/${randomUUID()}`,
    OCI_TEST_PULL: '1',
    OCI_TEST_PUSH: '1',
    OCI_TEST_CONTENT_DISCOVERY: '1',
    OCI_TEST_CONTENT_MANAGEMENT: '1',
    // A blob is mounted though the client does not say from where.
    OCI_AUTOMATIC_CROSSMOUNT: '1',
    OCI_HIDE_SKIPPED_WORKFLOWS: '0',
    OCI_REPORT_DIR: reports,
  }),
};

await testSuite(released, [profile, { ...profile, login: 'basic' }, { ...profile, login: 'tokens' }]);
