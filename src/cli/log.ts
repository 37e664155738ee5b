import { pino } from 'pino';
import type { Config } from '../config/schema.ts';
import type { Log } from '../http/log.ts';

/** The log that the configuration asks for. */
export function createConfiguredLog(config: Config): Log {
  const logger = pino({ level: config.log.level }, pino.destination({ sync: false, minLength: 4096 }));
  const log: Log = {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
    child: () => log,
    access: (entry) => logger.info(entry, 'access'),
    flush: () => logger.flush(),
  };
  return log;
}
