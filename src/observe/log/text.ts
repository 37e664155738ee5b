import { type AccessEntry, accessLine } from './access.ts';
import type { LogDestination } from './destination.ts';
import { escapeUnprintable, quoteValue } from './escape.ts';
import { type Fields, type PlainError, plainFields } from './fields.ts';
import { type Level, severity } from './level.ts';
import type { LogWriter } from './writer.ts';

export interface TextOptions {
  level: Level;
  fields: Fields;
  messages: LogDestination;
  access: LogDestination;
}

const label: Record<Level, string> = { debug: 'DEBUG', info: 'INFO ', warn: 'WARN ', error: 'ERROR' };
const reserved: ReadonlySet<string> = new Set();

/** Lines for people: time, level, message, and the fields as `key=value`. */
export function createTextWriter({ level: least, fields, messages, access }: TextOptions): LogWriter {
  const withFields = (suffix: string): LogWriter => ({
    write(level, message, own) {
      if (severity[level] < severity[least]) return;
      const time = new Date().toISOString();
      const pairs = own === undefined ? '' : formatFields(own, level === 'error');
      messages.write(`${time} ${label[level]} ${escapeUnprintable(message)}${pairs}${suffix}\n`);
    },
    child: (more) => withFields(formatFields(more, false) + suffix),
    access(entry: AccessEntry) {
      access.write(`${accessLine(entry)}\n`);
    },
  });
  return withFields(formatFields(fields, false));
}

/** Each pair with a space before it. */
function formatFields(fields: Fields, withStack: boolean): string {
  let text = '';
  for (const [name, value] of Object.entries(plainFields(fields, reserved))) {
    const key = escapeUnprintable(name).replaceAll(/[\s="]/g, '_');
    if (fields[name] instanceof Error) {
      const error = value as PlainError;
      text += ` ${key}=${quoteValue(errorChain(error))}`;
      if (withStack && error.stack !== undefined) text += ` ${key}.stack=${quoteValue(error.stack)}`;
    } else {
      text += ` ${key}=${quoteValue(typeof value === 'string' ? value : JSON.stringify(value))}`;
    }
  }
  return text;
}

/** `message (CODE): message of the cause: …` */
function errorChain({ message, code, cause }: PlainError): string {
  const own = code === undefined || message.includes(code) ? message : `${message} (${code})`;
  if (cause === undefined) return own;
  const inner = isPlainError(cause) ? errorChain(cause) : typeof cause === 'string' ? cause : JSON.stringify(cause);
  return `${own}: ${inner}`;
}

function isPlainError(value: unknown): value is PlainError {
  return typeof value === 'object' && value !== null && 'name' in value && 'message' in value;
}
