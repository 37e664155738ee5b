import { describe, expect, it } from 'vitest';
import type { LineResult } from './results.ts';
import { formatNumber, judge, tableRows, verdictText } from './table.ts';

function registry(name: string, rates: readonly number[], rest: { note?: string; foreign?: number } = {}) {
  const { foreign = 0, ...note } = rest;
  return { registry: name, rounds: rates.map((rate) => ({ rate, cpu: 0.25, peakMemory: 64 << 20, foreign })), ...note };
}

function line(rest: Partial<LineResult> = {}): LineResult {
  const registries = [registry('berth', [20000, 24000, 22000]), registry('distribution', [5000, 5500, 5500])];
  return { name: 'manifest GET', unit: 'ops/s', aim: { ratio: 4 }, registries, ...rest };
}

describe('the table', () => {
  it('shows rate, CPU, memory and the ratios of the rounds', () => {
    const [berth, distribution] = tableRows(line(), true).split('\n');
    expect(berth?.split(/ {2,}/)).toEqual([
      'manifest GET',
      'berth',
      '22,000 ops/s',
      '0.250 ms/op',
      '64.0 MiB',
      '4.00× (4.00× .. 4.36×)',
      '≥ 4× reached',
    ]);
    expect(distribution?.trim().split(/ {2,}/)).toEqual(['distribution', '5,500 ops/s', '0.250 ms/op', '64.0 MiB']);
  });

  it('says so when an aim is missed, and nothing when the sizes are not the usual ones', () => {
    const missed = line({ aim: { ratio: 5 } });
    expect(tableRows(missed, true)).toContain('≥ 5× not reached');
    expect(tableRows(missed, false)).not.toContain('reached');
  });

  it('judges memory without comparing', () => {
    const limited = line({ aim: { peakMemory: 200 << 20 }, registries: [registry('berth', [1])] });
    expect(tableRows(limited, true)).toContain('< 200 MiB reached');
  });

  it('does not judge the reference, nor anything without it', () => {
    const alone = line({ registries: [registry('berth', [1])] });
    expect(alone.registries.map((result) => judge(alone, result))).toEqual([undefined]);
    const [, compared] = line().registries;
    expect(compared && judge(line(), compared)).toBeUndefined();
  });

  it('mentions what a reader must know', () => {
    const registries = [
      registry('berth', [1], { foreign: 0.2 }),
      registry('distribution', [1], { note: 'has no pages' }),
    ];
    const text = tableRows(line({ registries }), true);
    expect(text).toContain('berth: other programs took up to 20 % of the machine');
    expect(text).toContain('distribution has no pages');
  });

  it('shows the requests to the storage, if they were counted', () => {
    const requests = { PUT: 2.5, GET: 2 };
    const text = tableRows({ ...line(), registries: [{ ...registry('berth', [1]), requests }] }, false);
    expect(text).toContain('4.50: 2.00 GET, 2.50 PUT');
    const none = tableRows({ ...line(), registries: [{ ...registry('berth', [1]), requests: {} }] }, false);
    expect(none).toMatch(/ 0$/);
  });

  it('counts the aims at the end and names those that are missed', () => {
    const text = verdictText([line(), line({ name: 'blob GET', aim: { ratio: 6 } }), line({ registries: [] })]);
    expect(text).toBe('berth: 1 of 2 aims reached\n  not reached: blob GET (≥ 6×)');
  });

  it.each([
    [12345.6, '12,346'],
    [123.4, '123'],
    [12.34, '12.3'],
    [1.234, '1.23'],
    [0.1234, '0.123'],
  ])('writes %d as %s', (value, text) => {
    expect(formatNumber(value)).toBe(text);
  });
});
