import { describeDriver } from '../testing/suite.ts';
import { withCheckedPaths } from '../wrappers/checked-paths.ts';
import { createInMemoryDriver, createMemoryStore } from './driver.ts';

describeDriver('inmemory', async () => {
  const store = createMemoryStore();
  const create = () => withCheckedPaths(createInMemoryDriver(store));
  return { driver: create(), another: async () => create(), dispose: async () => undefined };
});
