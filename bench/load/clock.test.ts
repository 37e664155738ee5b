import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Clock } from './clock.ts';

describe('the clock of a measurement', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('counts what is finished in time, and keeps the rest in the total only', () => {
    const clock = new Clock(3);
    clock.count(5);
    vi.advanceTimersByTime(2900);
    clock.count(5);
    expect(clock.running).toBe(true);
    vi.advanceTimersByTime(200);
    expect(clock.running).toBe(false);
    clock.count(7);
    expect(clock.stop()).toEqual({ amount: 10, total: 17, seconds: 3 });
  });

  it('does not run longer than there is work', () => {
    const clock = new Clock(3);
    vi.advanceTimersByTime(500);
    clock.count(1);
    expect(clock.stop()).toEqual({ amount: 1, total: 1, seconds: 0.5 });
  });

  it('runs until everything is finished when it has no limit', () => {
    const clock = new Clock();
    vi.advanceTimersByTime(60_000);
    clock.count(4);
    expect(clock.running).toBe(true);
    expect(clock.stop()).toEqual({ amount: 4, total: 4, seconds: 60 });
  });
});
