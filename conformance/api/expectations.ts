import { expect } from 'vitest';
import type { Reply } from '../harness/http-client.ts';

/** The codes of the OCI distribution-spec ("Error Codes") and those that distribution adds to them. */
export const errorCodes: ReadonlySet<string> = new Set([
  'BLOB_UNKNOWN',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UPLOAD_UNKNOWN',
  'DIGEST_INVALID',
  'MANIFEST_BLOB_UNKNOWN',
  'MANIFEST_INVALID',
  'MANIFEST_UNKNOWN',
  'NAME_INVALID',
  'NAME_UNKNOWN',
  'SIZE_INVALID',
  'UNAUTHORIZED',
  'DENIED',
  'UNSUPPORTED',
  'TOOMANYREQUESTS',
  'MANIFEST_UNVERIFIED',
  'PAGINATION_NUMBER_INVALID',
  'RANGE_INVALID',
  'TAG_INVALID',
  'UNAVAILABLE',
  'UNKNOWN',
]);

/** Asserts the status; several mean that any of them will do. The message shows request and answer. */
export function expectStatus(reply: Reply, ...statuses: number[]): void {
  expect(statuses, String(reply)).toContain(reply.status);
}

/**
 * Asserts an error: its status, and that its body is the JSON of the OCI specification with one of the codes first.
 * For HEAD the body is not looked at.
 */
export function expectError(reply: Reply, status: number | readonly number[], ...codes: string[]): void {
  expectStatus(reply, ...[status].flat());
  if (reply.request.startsWith('HEAD ')) return;
  expect(reply.header('content-type'), String(reply)).toMatch(/^application\/json(;|$)/);
  expect(codes, String(reply)).toContain(errorsOf(reply)[0]?.code);
}

export interface ErrorEntry {
  code: string;
  message?: string;
  detail?: unknown;
}

/** The entries of an error body. */
export function errorsOf(reply: Reply): ErrorEntry[] {
  const { errors } = reply.json() as { errors: ErrorEntry[] };
  expect(Array.isArray(errors), String(reply)).toBe(true);
  return errors;
}

/** Asserts headers: a string exactly, a pattern by match, undefined for absence. */
export function expectHeaders(reply: Reply, expected: Readonly<Record<string, string | RegExp | undefined>>): void {
  for (const [name, value] of Object.entries(expected)) {
    const actual = reply.header(name);
    const message = `${name} of ${reply}`;
    if (value instanceof RegExp) expect(actual ?? 'absent', message).toMatch(value);
    else expect(actual, message).toBe(value);
  }
}

/** The path (with query) of the `Location` of a reply, which may be absolute or not (RFC 9110 §10.2.2). */
export function locationOf(reply: Reply): string {
  const location = reply.header('location');
  expect(location, `Location of ${reply}`).toBeDefined();
  const { pathname, search } = new URL(location ?? '', 'http://any');
  return pathname + search;
}

/** The target of the `Link: <…>; rel="next"` of a page (RFC 8288), or undefined on the last page. */
export function nextPage(reply: Reply): string | undefined {
  const link = reply.header('link');
  if (link === undefined) return undefined;
  const [, target] = /^<([^>]+)>; ?rel="?next"?$/.exec(link) ?? [];
  expect(target, `Link of ${reply}: ${link}`).toBeDefined();
  const { pathname, search } = new URL(target ?? '', 'http://any');
  return pathname + search;
}
