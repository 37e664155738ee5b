import type { LogDestination } from './destination.ts';

/** Keeps what is written. */
export function createMemoryDestination(): LogDestination & { text(): string; lines(): string[]; last(): string } {
  let text = '';
  const lines = () => text.split('\n').slice(0, -1);
  return {
    write(line) {
      text += line;
    },
    text: () => text,
    lines,
    last: () => lines().at(-1) ?? '',
  };
}
