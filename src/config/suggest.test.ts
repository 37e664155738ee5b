import { expect, test } from 'vitest';
import { suggest } from './suggest.ts';

const keys = ['addr', 'net', 'prefix', 'host', 'secret', 'relativeurls', 'headers'];

test.each([
  ['adr', 'addr'],
  ['Addr', 'addr'],
  ['hots', 'host'],
  ['relativeurl', 'relativeurls'],
  ['header', 'headers'],
])('%s was meant to be %s', (name, meant) => expect(suggest(name, keys)).toBe(meant));

test.each(['timeout', 'x', 'storage'])('%s is near to none', (name) => expect(suggest(name, keys)).toBeUndefined());
