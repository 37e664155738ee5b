import { expect, test } from 'vitest';
import { createProgram } from './program.ts';

test('a list that is not there is said before anything else', async () => {
  const args = ['mirror', 'sync', '--config', '/nowhere/config.yml', '/nowhere/images.txt'];
  const failed = createProgram().parseAsync(args, { from: 'user' });
  await expect(failed).rejects.toThrow(/ENOENT.*\/nowhere\/images\.txt/);
});
