import { type Logger, pino } from 'pino';
import { accessFields } from './access.ts';
import type { LogDestination } from './destination.ts';
import { type Fields, plainFields } from './fields.ts';
import { type Level, severity } from './level.ts';
import type { LogWriter } from './writer.ts';

/** How a line names its own parts. */
interface Dialect {
  time: string;
  message: string;
  /** In every line, before the configured fields. */
  constant: Fields;
}

/** As logrus' JSON, which distribution writes. */
export const jsonDialect: Dialect = { time: 'time', message: 'msg', constant: {} };

/** As Logstash wants its events. */
export const logstashDialect: Dialect = { time: '@timestamp', message: 'message', constant: { '@version': '1' } };

export interface JsonOptions {
  dialect: Dialect;
  level: Level;
  fields: Fields;
  messages: LogDestination;
  access: LogDestination;
}

/** One JSON object per line. Levels are called as in distribution: `warning`, not `warn`. */
export function createJsonWriter({ dialect, level: least, fields, messages, access }: JsonOptions): LogWriter {
  const reserved = new Set(['level', dialect.time, dialect.message, ...Object.keys(dialect.constant)]);
  const options = {
    base: { ...dialect.constant, ...plainFields(fields, reserved) },
    messageKey: dialect.message,
    timestamp: () => `,"${dialect.time}":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label === 'warn' ? 'warning' : label }) },
  };
  // The level is for messages; whether there is an access log is a setting of its own.
  const requests = pino({ ...options, level: 'info' }, access);

  const writer = (logger: Logger): LogWriter => ({
    write(level, message, own) {
      if (severity[level] < severity[least]) return;
      logger[level](own === undefined ? {} : plainFields(own, reserved), message);
    },
    child: (more) => writer(logger.child(plainFields(more, reserved))),
    access: (entry) => requests.info(accessFields(entry), 'request'),
  });
  return writer(pino({ ...options, level: least }, messages));
}
