/** Numbers from 0 (included) to 1 (excluded) that the seed alone decides: a linear congruence. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
