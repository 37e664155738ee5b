import { describe, expect, test } from 'vitest';
import { Ledger } from './ledger.ts';

const never = () => new Promise<void>(() => {});
const done = async () => {};

describe('what a tag may point to', () => {
  test('is nothing before the first write', () => {
    expect(new Ledger().admissible('r', 't')).toEqual(new Set([undefined]));
  });

  test('is the last acknowledged value', async () => {
    const ledger = new Ledger();
    await ledger.tag('r', 't', 'a', done);
    await ledger.tag('r', 't', 'b', done);
    expect(ledger.admissible('r', 't')).toEqual(new Set(['b']));
  });

  test('may be one that was sent later and not acknowledged', async () => {
    const ledger = new Ledger();
    await ledger.tag('r', 't', 'a', done);
    void ledger.tag('r', 't', 'b', never);
    expect(ledger.admissible('r', 't')).toEqual(new Set(['a', 'b']));
  });

  test('may be either of two that were written at the same time', async () => {
    const ledger = new Ledger();
    await ledger.tag('r', 't', 'before', done);
    await ledger.tag('r', 't', 'a', () => ledger.tag('r', 't', 'b', done));
    expect(ledger.admissible('r', 't')).toEqual(new Set(['a', 'b']));
  });

  test('is nothing after a deletion', async () => {
    const ledger = new Ledger();
    await ledger.tag('r', 't', 'a', done);
    await ledger.tag('r', 't', undefined, done);
    expect(ledger.admissible('r', 't')).toEqual(new Set([undefined]));
  });

  test('is not what was sent before the registry died, once something was acknowledged after', async () => {
    const ledger = new Ledger();
    void ledger.tag('r', 't', 'a', never);
    ledger.died();
    await ledger.tag('r', 't', 'b', done);
    expect(ledger.admissible('r', 't')).toEqual(new Set(['b']));
  });

  test('is what was observed, and no other value', async () => {
    const ledger = new Ledger();
    await ledger.tag('r', 't', 'a', done);
    void ledger.tag('r', 't', 'b', never);
    ledger.died();
    ledger.observed('r', 't', 'a');
    expect(ledger.admissible('r', 't')).toEqual(new Set(['a']));
  });
});
