/** What Node's timers can wait for at most, in milliseconds: 24.8 days. */
export const longestTimer = 2 ** 31 - 1;

const milliseconds: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // micro sign, U+00B5
  μs: 1e-3, // Greek mu, U+03BC
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

const whole = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
const parts = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/**
 * A span of time as Go writes it, in milliseconds: `168h`, `1h30m`, `500ms`, `1.5s`, `0`.
 *
 * A number without a unit is what it is for distribution: nanoseconds. As nobody means `10` so, what is not 0 and comes
 * out shorter than a millisecond is refused, with or without a unit.
 *
 * @returns undefined when `text` is none, is negative, or is too short or too long to be meant
 */
export function parseDuration(text: string): number | undefined {
  const spelled = text.replace(/^\+/, '');
  const exact = /^\d+$/.test(spelled) ? Number(spelled) / 1e6 : sum(spelled);
  if (exact === undefined || exact > Number.MAX_SAFE_INTEGER) return undefined;
  return exact !== 0 && exact < 1 ? undefined : Math.round(exact);
}

function sum(text: string): number | undefined {
  if (!whole.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(parts)) total += Number(count) * (milliseconds[unit ?? ''] ?? Number.NaN);
  return total;
}

/** Writes milliseconds so that {@link parseDuration} and Go read the same: `1h30m`, `500ms`, `0s`. */
export function formatDuration(duration: number): string {
  const hours = Math.floor(duration / 3_600_000);
  const minutes = Math.floor(duration / 60_000) % 60;
  const seconds = Math.floor(duration / 1_000) % 60;
  const rest = duration % 1_000;
  const text = [
    hours > 0 ? `${hours}h` : '',
    minutes > 0 ? `${minutes}m` : '',
    seconds > 0 ? `${seconds}s` : '',
    rest > 0 ? `${rest}ms` : '',
  ].join('');
  return text === '' ? '0s' : text;
}
