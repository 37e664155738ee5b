/** Says whether a text fits a pattern. */
export type Glob = (text: string) => boolean;

/** What stands in a repository pattern for the caller's own name. */
export const ownName = '{name}';

/**
 * Patterns for names with slashes: `*` is any text without a slash, `**` any text, everything else stands for itself.
 * `library/*` has `library/alpine` and not `library/a/b`; `team/**` has both `team/a` and `team/a/b`, and not `team`.
 *
 * No regular expression: one with several stars takes for ever where it does not fit.
 */
export function createGlob(pattern: string): Glob {
  const front = /^[^*]*/.exec(pattern)?.[0] ?? '';
  if (front === pattern) return (text) => text === pattern;
  const rest = pattern.slice(front.length);
  if (rest === '**') return (text) => text.startsWith(front);
  const parts = rest.match(/\*\*+|\*|[^*]/g) ?? [];
  return (text) => text.startsWith(front) && fits(parts, text, front.length);
}

/** Goes through the text once, with all the places in the pattern where it may be. */
function fits(parts: readonly string[], text: string, start: number): boolean {
  let places = withStars(parts, [0]);
  for (let index = start; index < text.length && places.length > 0; index += 1) {
    const letter = text.charAt(index);
    const next = places.flatMap((place) => {
      const part = parts[place] ?? '';
      if (part.startsWith('*')) return part === '*' && letter === '/' ? [] : [place];
      return part === letter ? [place + 1] : [];
    });
    places = withStars(parts, next);
  }
  return places.includes(parts.length);
}

/** A star may also stand for nothing. */
function withStars(parts: readonly string[], places: readonly number[]): number[] {
  const all = new Set<number>();
  for (let place of places) {
    all.add(place);
    while (parts[place]?.startsWith('*')) {
      place += 1;
      all.add(place);
    }
  }
  return [...all];
}
