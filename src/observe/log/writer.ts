import type { AccessEntry } from './access.ts';
import type { Fields } from './fields.ts';
import type { Level } from './level.ts';

/** One way to form lines. */
export interface LogWriter {
  write(level: Level, message: string, fields: Fields | undefined): void;
  child(fields: Fields): LogWriter;
  access(entry: AccessEntry): void;
}
