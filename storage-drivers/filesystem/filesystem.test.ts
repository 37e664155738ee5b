import { describeDriver } from '../testing/suite.ts';
import { createFixture } from './testing/fixture.ts';

describeDriver('filesystem', () => createFixture(), {
  skips: {
    'a folder vanishes with its last object':
      'distribution makes a folder and then a file in it, and fails when somebody takes the folder away in between',
  },
});
