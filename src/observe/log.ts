import type { AccessEntry } from './log/access.ts';
import { bufferedDestination, type LogDestination } from './log/destination.ts';
import type { Fields } from './log/fields.ts';
import { createJsonWriter, jsonDialect, logstashDialect } from './log/json.ts';
import type { Level } from './log/level.ts';
import { createTextWriter } from './log/text.ts';
import type { LogWriter } from './log/writer.ts';

/**
 * The server's log; has the shape that the other layers ask for. Secrets in fields and texts are replaced, and nothing
 * that is logged can look like a line of its own. Writing never waits and never throws.
 */
export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A log whose every line has these fields too. */
  child(fields: Fields): Log;
  /** One line per request. */
  access(entry: AccessEntry): void;
  /** Writes what is still buffered, before it returns. */
  flush(): void;
}

export interface LogOptions {
  /** The least severe messages that are written. */
  level: Level;
  /** `text` for people, `json`, or `logstash`, which is JSON with Logstash's names. */
  formatter: 'text' | 'json' | 'logstash';
  /** In every line but the access log's text. */
  fields?: Fields;
  /** Whether each request gets a line, in Apache's combined format or as JSON. */
  accessLog: boolean;
  /** For everything. Default: messages to standard error and the access log to standard output, as distribution. */
  destination?: LogDestination;
}

/** Not from `process.stdout` and `process.stderr`: to look at those makes a pipe refuse what does not fit at once. */
const standardOutput = 1;
const standardError = 2;

export function createLog({ level, formatter, fields = {}, accessLog, destination }: LogOptions): Log {
  const messages = destination ?? bufferedDestination(standardError);
  const access = destination ?? bufferedDestination(standardOutput);
  const targets = { level, fields, messages, access };
  const flush = () => {
    for (const target of [messages, access]) target.flushSync?.();
  };

  const wrap = (writer: LogWriter): Log => ({
    debug: (message, own) => writer.write('debug', message, own),
    info: (message, own) => writer.write('info', message, own),
    warn: (message, own) => writer.write('warn', message, own),
    error: (message, own) => writer.write('error', message, own),
    child: (more) => wrap(writer.child(more)),
    access: accessLog ? (entry) => writer.access(entry) : () => {},
    flush,
  });
  if (formatter === 'text') return wrap(createTextWriter(targets));
  return wrap(createJsonWriter({ ...targets, dialect: formatter === 'json' ? jsonDialect : logstashDialect }));
}
