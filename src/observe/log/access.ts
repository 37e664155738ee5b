import { escapeQuoted } from './escape.ts';
import { redactQuery } from './redact.ts';

/** One request for the access log; the same shape as the HTTP layer's. */
export interface AccessEntry {
  /** When the request arrived. */
  time: Date;
  /** The client's address, without its port. */
  remote: string;
  user?: string | undefined;
  method: string;
  /** The request target as it was received. */
  target: string;
  /** e.g. `HTTP/1.1`. */
  protocol: string;
  status: number;
  /** Of the body. */
  bytes: number;
  /** In milliseconds. */
  duration: number;
  referer?: string | undefined;
  userAgent?: string | undefined;
  requestId?: string | undefined;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (value: number) => String(value).padStart(2, '0');

/** e.g. `20/Nov/2026:22:41:48 +0000`, in the time zone of the process. */
export function apacheTime(time: Date): string {
  const offset = -time.getTimezoneOffset();
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const day = `${two(time.getDate())}/${months[time.getMonth()]}/${time.getFullYear()}`;
  return `${day}:${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())} ${zone}`;
}

let lastSecond = Number.NaN;
let lastText = '';

/** Busy servers write thousands of lines in the same second. */
function cachedTime(time: Date): string {
  const second = Math.floor(time.getTime() / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastText = apacheTime(time);
  }
  return lastText;
}

/** A line in Apache's combined format, as distribution writes it, without the line's end. */
export function accessLine(entry: AccessEntry): string {
  const request = `${escapeQuoted(entry.method)} ${escapeQuoted(redactQuery(entry.target))} ${escapeQuoted(entry.protocol)}`;
  const user = entry.user ? escapeQuoted(entry.user).replaceAll(' ', '\\x20') : '-';
  const referer = entry.referer === undefined ? '' : escapeQuoted(redactQuery(entry.referer));
  const agent = entry.userAgent === undefined ? '' : escapeQuoted(entry.userAgent);
  const remote = entry.remote || '-';
  return `${remote} - ${user} [${cachedTime(entry.time)}] "${request}" ${entry.status} ${entry.bytes} "${referer}" "${agent}"`;
}

/** The same for machines. */
export function accessFields(entry: AccessEntry): Record<string, unknown> {
  return {
    remote: entry.remote,
    user: entry.user || undefined,
    method: entry.method,
    path: redactQuery(entry.target),
    protocol: entry.protocol,
    status: entry.status,
    bytes: entry.bytes,
    duration_ms: Math.round(entry.duration * 1000) / 1000,
    referer: entry.referer === undefined ? undefined : redactQuery(entry.referer),
    user_agent: entry.userAgent,
    request_id: entry.requestId,
  };
}
