import { InvalidArgumentError } from 'commander';

const units: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `168h`, `7d`, `30m` or `90s`, as an option gives it. */
export function parseAge(text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const factor = units[unit];
  if (count === undefined || factor === undefined) {
    throw new InvalidArgumentError('must be a number with s, m, h or d behind it, such as 168h or 7d');
  }
  return Number(count) * factor;
}
