import { describe, expect, it } from 'vitest';
import {
  descendants,
  machineBusySeconds,
  parseBusySeconds,
  parsePeakMemory,
  parseProcessStat,
  resetPeakMemory,
  usageOf,
} from './usage.ts';

describe('process usage', () => {
  it('adds up user, system and ended children, also when the name holds brackets and blanks', () => {
    const text = '42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 9 0 100 1000 10';
    expect(parseProcessStat(text)).toEqual({ pid: 42, parent: 7, ticks: 110 });
  });

  it('reads the peak of the resident set in bytes, and none for a zombie', () => {
    expect(parsePeakMemory('Name:\tx\nVmHWM:\t    1836 kB\nVmRSS:\t  900 kB\n')).toBe(1836 * 1024);
    expect(parsePeakMemory('Name:\tx\nState:\tZ (zombie)\n')).toBe(0);
  });

  it('counts as busy what processes took and what the host withheld', () => {
    expect(parseBusySeconds('cpu  100 200 300 9999 8888 10 20 30 5 5\ncpu0 1 2\n')).toBe(6.3);
  });

  it('finds children of children', () => {
    const process = (pid: number, parent: number) => ({ pid, parent, ticks: 0 });
    const tree = descendants(2, [process(4, 3), process(1, 0), process(2, 1), process(3, 2), process(5, 1)]);
    expect(tree.map(({ pid }) => pid)).toEqual([2, 3, 4]);
  });

  it('measures this very process', async () => {
    await resetPeakMemory(process.pid);
    const before = await usageOf(process.pid);
    const busyBefore = await machineBusySeconds();
    const filled = Buffer.alloc(64 << 20, 1);
    for (let round = 0; round < 20; round++) filled.reverse();
    const after = await usageOf(process.pid);
    expect(after.cpuSeconds).toBeGreaterThan(before.cpuSeconds);
    expect(after.peakMemory).toBeGreaterThanOrEqual(before.peakMemory + (32 << 20));
    expect(await machineBusySeconds()).toBeGreaterThan(busyBefore);
  });
});
