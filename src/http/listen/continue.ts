import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';

const waiting = new WeakSet<object>();

/**
 * Remembers that the client holds its body back until it hears `100 Continue` (RFC 9110, section 10.1.1).
 * Kept apart from the headers: HTTP/1.0 clients may send the header without a meaning.
 */
export function expectContinue(incoming: IncomingMessage | Http2ServerRequest): void {
  waiting.add(incoming);
}

/** Whether the client still waits, so that no body is on its way. */
export function awaitsContinue(incoming: IncomingMessage | Http2ServerRequest): boolean {
  return waiting.has(incoming);
}

/**
 * Asks the client for the body that it holds back; does nothing for all other requests. To be called when the body is
 * about to be read, and not earlier: an answer without it (401, 404, 413) spares the client the upload.
 */
export function continueIfExpected(
  incoming: IncomingMessage | Http2ServerRequest,
  outgoing: ServerResponse | Http2ServerResponse,
): void {
  if (waiting.delete(incoming) && !outgoing.headersSent) outgoing.writeContinue();
}
