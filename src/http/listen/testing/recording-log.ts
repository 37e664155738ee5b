import type { AccessEntry, Log, LogFields } from '../../log.ts';

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields: LogFields;
}

/** A log that keeps its lines. `seen` waits for one with this message and these fields. */
export function createRecordingLog(): Log & {
  lines: LogLine[];
  accesses: AccessEntry[];
  seen(message: string, fields?: LogFields): Promise<LogLine>;
} {
  const lines: LogLine[] = [];
  const accesses: AccessEntry[] = [];
  const waiting = new Set<() => void>();
  const record =
    (level: LogLine['level']) =>
    (message: string, fields: LogFields = {}) => {
      lines.push({ level, message, fields });
      for (const look of waiting) look();
    };
  const log = {
    lines,
    accesses,
    debug: record('debug'),
    info: record('info'),
    warn: record('warn'),
    error: record('error'),
    child: () => log,
    access: (entry: AccessEntry) => void accesses.push(entry),
    flush: () => {},
    seen: (message: string, fields: LogFields = {}) =>
      new Promise<LogLine>((resolve) => {
        const look = () => {
          const line = lines.find(
            (candidate) =>
              candidate.message === message &&
              Object.entries(fields).every(([name, value]) => candidate.fields[name] === value),
          );
          if (line === undefined) return;
          waiting.delete(look);
          resolve(line);
        };
        waiting.add(look);
        look();
      }),
  };
  return log;
}
