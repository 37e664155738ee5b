import { mainProfile } from './main-profile.ts';
import { testSuite } from './official.ts';
import { current } from './suites.ts';

await testSuite(current, [mainProfile('1.1'), mainProfile('1.1', 'basic'), mainProfile('1.1', 'tokens')]);
