import { describe, expect, it } from 'vitest';
import { median, ratios, spread } from './statistics.ts';

describe('statistics', () => {
  it('takes the middle of an odd number of values, whatever their order', () => {
    expect(median([9, 1, 5])).toBe(5);
  });

  it('takes the mean of the two in the middle of an even number', () => {
    expect(median([10, 1, 4, 2])).toBe(3);
  });

  it('sorts by number, not by text', () => {
    expect(median([100, 20, 3])).toBe(20);
  });

  it('refuses to find the middle of nothing', () => {
    expect(() => median([])).toThrow(TypeError);
  });

  it('gives the range beside the middle', () => {
    expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
  });

  it('compares round by round, so that a slow minute does not change the ratio', () => {
    expect(ratios([400, 200, 410], [100, 50, 100])).toEqual({ median: 4, min: 4, max: 4.1 });
  });

  it('refuses to compare different numbers of rounds', () => {
    expect(() => ratios([1], [1, 2])).toThrow(TypeError);
  });
});
