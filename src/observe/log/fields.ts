import { isSecretName, redacted, redactText } from './redact.ts';

/** What a line says besides its message. */
export type Fields = Readonly<Record<string, unknown>>;

/** Deeper values are cut off: fields are meant to be flat. */
const maxDepth = 4;

/** Fields as plain JSON values, without secrets. `reserved` are names that the line itself uses. */
export function plainFields(fields: Fields, reserved: ReadonlySet<string>): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined) continue;
    plain[reserved.has(name) ? `fields.${name}` : name] = isSecretName(name) ? redacted : plainValue(value, 0);
  }
  return plain;
}

function plainValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value;
  if (typeof value !== 'object') return String(value);
  if (value instanceof Error) return plainError(value, depth);
  if (depth >= maxDepth) return '…';
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  // Dates, URLs, and values that hide themselves.
  if ('toJSON' in value && typeof value.toJSON === 'function') return plainValue(value.toJSON(), depth + 1);
  if (Array.isArray(value)) return value.map((item) => plainValue(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, isSecretName(name) ? redacted : plainValue(item, depth + 1)]),
  );
}

/** An error with its causes. Properties of its own, such as request headers, stay out. */
export interface PlainError {
  name: string;
  message: string;
  code?: string;
  stack?: string;
  cause?: unknown;
}

function plainError(error: Error, depth: number): PlainError {
  const plain: PlainError = { name: error.name, message: redactText(error.message) };
  if ('code' in error && (typeof error.code === 'string' || typeof error.code === 'number')) {
    plain.code = String(error.code);
  }
  // The first line repeats name and message.
  const stack = error.stack?.slice(error.stack.indexOf('\n    at ') + 1);
  if (stack !== undefined && error.stack?.includes('\n    at ')) plain.stack = redactText(stack);
  if (error.cause !== undefined && depth < maxDepth) plain.cause = plainValue(error.cause, depth + 1);
  return plain;
}
