import { expect, it } from 'vitest';
import { readFault } from './fault.ts';

const fault = (value: unknown, secrets?: string[]) => readFault(Buffer.from(JSON.stringify(value)), secrets);

it('an error is read in the words of registries and of token servers', () => {
  expect(fault({ errors: [{ code: 'DENIED', message: 'no', detail: {} }] })).toEqual({ code: 'DENIED', message: 'no' });
  expect(fault({ details: 'incorrect username or password' })).toEqual({ message: 'incorrect username or password' });
  expect(fault({ error: 'invalid_scope', error_description: 'what' })).toEqual({
    code: 'invalid_scope',
    message: 'what',
  });
});

it.each<unknown>([null, [], 1, 'text', { errors: [] }, { errors: [null] }, { errors: [{ code: 1, message: {} }] }])(
  'of %j nothing is read',
  (value) => {
    expect(fault(value)).toEqual({});
  },
);

it('an error is short, printable and without secrets', () => {
  const { code, message = '' } = fault({ errors: [{ code: 'A B', message: `\u001b[1m\r\n\u202e${'x'.repeat(500)}` }] });
  expect(code).toBeUndefined();
  expect(message).toMatch(/^\[1m x{100,200}…$/);
  expect(fault({ message: 'Bearer abc is bad, abc!' }, ['abc', '']).message).toBe('Bearer … is bad, …!');
  expect(readFault(Buffer.from('<html>'))).toEqual({});
});
