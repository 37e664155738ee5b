import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { configSchema } from './config/schema.ts';
import { validationOf } from './validation-of.ts';

test('a URL that a client made up to hold up the pattern of a manifest check is judged in time', () => {
  const pattern = '^https?://([^/]+\\.)*example\\.com/';
  const { validation } = configSchema.parse({
    version: '0.1',
    validation: { manifests: { urls: { allow: [pattern] } } },
  });
  const [expression] = validationOf(validation).urls.allow;
  // Synchronous, so only a limit from outside can end it.
  const judge = (url: string) => runInNewContext('expression.test(url)', { expression, url }, { timeout: 5_000 });
  expect(judge(`http://${'a.'.repeat(60)}x`)).toBe(false);
  expect(judge(`http://${'a.'.repeat(60)}example.com/`)).toBe(true);
});
