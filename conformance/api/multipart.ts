import { expect } from 'vitest';
import type { Reply } from '../harness/http-client.ts';

export interface Part {
  /** Its `Content-Range`. */
  range: string;
  /** Its `Content-Type`. */
  type: string;
  body: Buffer;
}

/** The parts of a `multipart/byteranges` body (RFC 9110 §14.6); a single part may also come by itself. */
export function multipartOf(reply: Reply): Part[] {
  const contentType = reply.header('content-type') ?? '';
  const [, boundary] = /^multipart\/byteranges; ?boundary="?([^"]+)"?$/.exec(contentType) ?? [];
  if (boundary === undefined)
    return [{ range: reply.header('content-range') ?? '', type: contentType, body: reply.body }];

  // Latin-1 keeps each byte one character.
  const sections = `\r\n${reply.body.toString('latin1')}`.split(`\r\n--${boundary}`);
  expect(sections.shift(), 'nothing before the first boundary').toBe('');
  expect(sections.pop()?.trimEnd(), 'the last boundary').toBe('--');
  return sections.map((section) => {
    const [head = '', ...rest] = section.split('\r\n\r\n');
    const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'im').exec(head)?.[1]?.trim() ?? '';
    return {
      range: field('content-range'),
      type: field('content-type'),
      body: Buffer.from(rest.join('\r\n\r\n'), 'latin1'),
    };
  });
}
