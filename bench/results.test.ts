import { describe, expect, it } from 'vitest';
import { type Reading, type RegistryResult, reaches, requestsPerOperation, roundOf, summarize } from './results.ts';

function reading(cpuSeconds: number, time: number, own = 0, machine = 0): Reading {
  return { server: { cpuSeconds, peakMemory: 5e6 }, own, machine, time };
}

function result(registry: string, ...rates: number[]): RegistryResult {
  return { registry, rounds: rates.map((rate) => ({ rate, cpu: 1, peakMemory: rate, foreign: 0 })) };
}

describe('one round', () => {
  it('gives operations in a second and milliseconds of CPU for each', () => {
    const work = { amount: 6000, seconds: 3, total: 6000, samples: [] };
    const round = roundOf('ops/s', work, reading(1, 10), reading(4, 14), 2);
    expect(round).toEqual({ rate: 2000, cpu: 0.5, peakMemory: 5e6, foreign: 0 });
  });

  it('gives MB in a second, and CPU seconds for each GB of all that was moved', () => {
    const work = { amount: 3e9, seconds: 2, total: 4e9, samples: [] };
    expect(roundOf('MB/s', work, reading(0, 0), reading(2, 3), 2)).toMatchObject({ rate: 1500, cpu: 0.5 });
  });

  it('tells what other programs took of the machine', () => {
    const work = { amount: 1, seconds: 1, total: 1, samples: [] };
    expect(roundOf('ops/s', work, reading(0, 0, 5, 100), reading(1, 10, 15, 115), 2).foreign).toBe(0.25);
  });

  it('is none when nothing was finished', () => {
    const work = { amount: 0, seconds: 3, total: 1e9, samples: [] };
    expect(() => roundOf('MB/s', work, reading(0, 0), reading(2, 3), 2)).toThrow('nothing was finished');
  });
});

describe('requests to the storage', () => {
  const work = { amount: 1, seconds: 1, total: 4000, samples: [] };
  const line = { name: 'a line', prepare: () => Promise.reject(new Error('not used')) };

  it('are told for one operation', () => {
    expect(requestsPerOperation({ ...line, unit: 'ops/s' }, work, { GET: 6000, PUT: 4000 })).toEqual({
      GET: 1.5,
      PUT: 1,
    });
  });

  it('are told for one blob where bytes are counted', () => {
    const counted = requestsPerOperation({ ...line, unit: 'MB/s', bytesPerOperation: 1000 }, work, { PUT: 8 });
    expect(counted).toEqual({ PUT: 2 });
  });

  it('are told of nothing that was not finished', () => {
    expect(() => requestsPerOperation({ ...line, unit: 'ops/s' }, { ...work, total: 0 }, {})).toThrow('nothing was');
  });
});

describe('the summary', () => {
  it('compares each round with the same round of the reference', () => {
    const summary = summarize(result('berth', 400, 100, 900), result('distribution', 100, 50, 300));
    expect(summary.rate).toEqual({ median: 400, min: 100, max: 900 });
    expect(summary.ratio).toEqual({ median: 3, min: 2, max: 4 });
    expect(summary.peakMemory).toBe(900);
  });

  it('does not compare the reference with itself', () => {
    const reference = result('distribution', 1);
    expect(summarize(reference, reference).ratio).toBeUndefined();
  });

  it('says whether an aim is reached, and does not say it without a reference', () => {
    const summary = summarize(result('berth', 400), result('distribution', 100));
    expect(reaches({ ratio: 4 }, summary)).toBe(true);
    expect(reaches({ ratio: 4.1 }, summary)).toBe(false);
    expect(reaches({ peakMemory: 401 }, summary)).toBe(true);
    expect(reaches({ peakMemory: 400 }, summary)).toBe(false);
    expect(reaches({ ratio: 4 }, summarize(result('berth', 400), undefined))).toBeUndefined();
  });
});
