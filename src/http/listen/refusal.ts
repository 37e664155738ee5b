import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';

/**
 * Answers to what never becomes a request for the application: messages that break HTTP. All else is answered by
 * `http/errors.ts`; this has its shape (distribution-spec, "Error Codes").
 */
export type Refusal = keyof typeof messages;

const messages = {
  400: 'the request is not valid HTTP',
  408: 'the request did not arrive in time',
  413: 'the chunk extensions of the request are too long',
  417: 'the expectation of the request cannot be met; only 100-continue is known',
  431: 'the header of the request is too long',
  500: 'the server failed to answer',
};

export function refusalBody(status: Refusal): string {
  const code = status === 500 ? 'UNKNOWN' : 'UNSUPPORTED';
  return `${JSON.stringify({ errors: [{ code, message: messages[status], detail: null }] })}\n`;
}

export function refusalHeaders(body: string): Record<string, string> {
  return {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    'Docker-Distribution-API-Version': 'registry/2.0',
  };
}

export function refuse(
  incoming: IncomingMessage | Http2ServerRequest,
  outgoing: ServerResponse | Http2ServerResponse,
  status: Refusal,
): void {
  const body = refusalBody(status);
  outgoing.statusCode = status;
  for (const [name, value] of Object.entries(refusalHeaders(body))) outgoing.setHeader(name, value);
  outgoing.end(incoming.method === 'HEAD' ? '' : body);
}

/** A whole HTTP/1.1 answer as bytes, for a socket whose parser has given up. */
export function rawRefusal(status: Refusal): string {
  const body = refusalBody(status);
  const headers = { ...refusalHeaders(body), Date: new Date().toUTCString(), Connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`;
}
