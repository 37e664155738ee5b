/** A text, or what gives one away only when it is asked to. */
export type HeaderValue = string | { reveal(): string };

export function textOf(value: HeaderValue): string {
  return typeof value === 'string' ? value : value.reveal();
}
