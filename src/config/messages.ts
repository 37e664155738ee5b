import type { z } from 'zod';

const expected: Readonly<Record<string, string>> = {
  string: 'must be a text',
  boolean: 'must be true or false',
  number: 'must be a number',
  int: 'must be a whole number',
  array: 'must be a list',
  object: 'must be a section',
  record: 'must be a section',
};

/**
 * What is wrong with a key, for the types that do not say it themselves; goes on after the name of the key. An error map
 * of zod.
 */
export function explainIssue(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code !== 'invalid_type') return undefined;
  return issue.input === undefined ? 'is missing' : expected[issue.expected];
}
