import { OptionReader, type ParsedOptions } from '../options.ts';

/** It has none. */
export type InMemoryOptions = Readonly<Record<string, never>>;

export function parseInMemoryOptions(parameters: Readonly<Record<string, unknown>>): ParsedOptions<InMemoryOptions> {
  return new OptionReader(parameters).finish({});
}
