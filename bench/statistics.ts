/** The middle value; of an even number of values the mean of the two in the middle. @throws TypeError without values */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half];
  if (upper === undefined) throw new TypeError('the median of nothing');
  if (sorted.length % 2 === 1) return upper;
  return ((sorted[half - 1] ?? upper) + upper) / 2;
}

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * How the values compare round by round. What disturbs a machine for a minute hits both of a round, so that the
 * quotient of one round says more than the quotient of two medians.
 */
export function ratios(values: readonly number[], reference: readonly number[]): Spread {
  if (values.length !== reference.length) throw new TypeError('both need one value for each round');
  return spread(values.map((value, round) => value / (reference[round] ?? Number.NaN)));
}
