/**
 * What the HTTP layer needs of a log. `observe/log.ts` has the one that the server uses; http/ may not import it.
 *
 * A message is a fixed sentence; what varies goes into `fields`, so that machines can group lines and nothing that came
 * from outside can pose as a line of its own. An `Error` under any key is shown with its cause.
 */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose every line has these fields too. */
  child(fields: LogFields): Log;
  /** One line per request, where the configuration wants an access log. */
  access(entry: AccessEntry): void;
  /** Writes what is still buffered, before it returns. */
  flush(): void;
}

export type LogFields = Readonly<Record<string, unknown>>;

export interface AccessEntry {
  /** When the request arrived. */
  time: Date;
  /** The client's address, without its port. */
  remote: string;
  /** Who the caller proved to be; empty or undefined: nobody. */
  user?: string | undefined;
  method: string;
  /** The request target as it was received, with its query. */
  target: string;
  /** e.g. `HTTP/1.1`. */
  protocol: string;
  status: number;
  /** Of the body that was sent. */
  bytes: number;
  /** From the request's arrival to the last byte of the answer, in milliseconds. */
  duration: number;
  referer?: string | undefined;
  userAgent?: string | undefined;
  requestId?: string | undefined;
}
