import { beforeEach, describe, expect, it } from 'vitest';
import { CircuitBreaker, type Pass } from './breaker.ts';

let time = 0;
let states: string[] = [];
let breaker = new CircuitBreaker();

beforeEach(() => {
  time = 1_000_000;
  states = [];
  breaker = new CircuitBreaker({
    failures: 3,
    firstPause: 1_000,
    longestPause: 4_000,
    now: () => time,
    onChange: ({ state }) => states.push(state),
  });
});

function enter(): Pass {
  const pass = breaker.enter();
  if ('kind' in pass) throw new Error(`refused: ${pass.kind}`);
  return pass;
}

const fail = (times: number) => {
  for (let count = 0; count < times; count++) enter().failed();
};

describe('a circuit breaker', () => {
  it('leaves nobody alone for longer than it may when the clock is set back', () => {
    fail(3);
    time -= 86_400_000;
    enter().succeeded();
    enter().throttled(time + 60_000);
    time -= 86_400_000;
    expect(breaker.state.state).toBe('closed');
    expect(enter().throttled(time + 2_000)).toBe(time + 2_000);
    expect(breaker.enter()).toEqual({ kind: 'throttled', retryAt: time + 2_000 });
  });

  it('opens after failures in a row, not after as many with successes between', () => {
    fail(2);
    enter().succeeded();
    fail(2);
    expect(breaker.state).toEqual({ state: 'closed', failures: 2, until: undefined });
    fail(1);
    expect(breaker.state).toEqual({ state: 'open', failures: 3, until: time + 1_000 });
    expect(breaker.enter()).toEqual({ kind: 'unreachable', retryAt: time + 1_000 });
  });

  it('sends one probe after the pause, and closes when that succeeds', () => {
    fail(3);
    time += 1_000;
    const probe = enter();
    expect(breaker.state.state).toBe('probing');
    expect(breaker.enter()).toMatchObject({ kind: 'unreachable' });
    probe.succeeded();
    enter();
    expect(states).toEqual(['open', 'probing', 'closed']);
  });

  it('waits longer each time a probe fails, up to a limit', () => {
    fail(3);
    for (const pause of [1_000, 2_000, 4_000, 4_000]) {
      expect(breaker.state.until).toBe(time + pause);
      time += pause;
      enter().failed();
    }
    time += 4_000;
    enter().succeeded();
    fail(3);
    expect(breaker.state.until).toBe(time + 1_000);
  });

  it('lets another probe go when nobody waits for the first any more', () => {
    fail(3);
    time += 1_000;
    enter().left();
    expect(breaker.state.state).toBe('open');
    enter().succeeded();
    expect(breaker.state.state).toBe('closed');
  });

  it('does not mind what was sent before it opened', () => {
    const late = [enter(), enter(), enter()];
    fail(3);
    const { until } = breaker.state;
    late[0]?.failed();
    late[1]?.succeeded();
    late[2]?.left();
    expect(breaker.state).toEqual({ state: 'open', failures: 3, until });
  });
});

describe('a server that asks to be left alone', () => {
  it('is, until it said', () => {
    expect(enter().throttled(time + 30_000)).toBe(time + 30_000);
    expect(breaker.enter()).toEqual({ kind: 'throttled', retryAt: time + 30_000 });
    expect(breaker.state).toMatchObject({ state: 'throttled', until: time + 30_000 });
    time += 30_000;
    enter().succeeded();
  });

  it('is for an hour at most, and for a second at least', () => {
    expect(enter().throttled(time + 1e12)).toBe(time + 3_600_000);
    time += 3_600_000;
    expect(enter().throttled(time - 5)).toBe(time + 1_000);
  });

  it('is for longer each time when it does not say how long', () => {
    for (const pause of [1_000, 2_000, 4_000]) {
      expect(enter().throttled(undefined)).toBe(time + pause);
      time += pause;
    }
    enter().succeeded();
    expect(enter().throttled(undefined)).toBe(time + 1_000);
  });

  it('is not left alone for longer because many were refused at once', () => {
    const passes = [enter(), enter(), enter()];
    for (const pass of passes) expect(pass.throttled(undefined)).toBe(time + 1_000);
  });

  it('is there, so that failures before do not count', () => {
    fail(2);
    enter().throttled(time);
    time += 1_000;
    fail(2);
    expect(breaker.state.state).toBe('closed');
  });
});
