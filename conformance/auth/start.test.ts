import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startBerth } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

test('a registry whose file of users is not there says so and ends, though it listens already', async () => {
  const folder = await temporaryFolder('berth-users-');
  const path = join(folder.path, 'absent');
  await expect(startBerth({ config: { auth: { htpasswd: { realm: 'berth', path } } } })).rejects.toThrow(
    /ended with code 1 .*\n(.*\n)*.*auth\.htpasswd\.path there is no such file/,
  );
  await folder.remove();
});
