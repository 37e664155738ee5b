import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Context } from 'hono';
import { RegistryError } from '../oci/errors.ts';
import { continueIfExpected } from './listen/continue.ts';
import type { Reply, RequestBody, StreamBody } from './reply.ts';

/**
 * The one place where bodies are read and written. With a socket at hand they do not pass through Web streams, which
 * cost more than twice the CPU; without one (`app.request()` in tests) Web bodies are used.
 */

type Incoming = IncomingMessage | Http2ServerRequest;
type Outgoing = ServerResponse | Http2ServerResponse;

/** What the server gives to the app for each request; empty in `app.request()`. */
export interface NodeBindings {
  incoming?: Incoming;
  outgoing?: Outgoing;
}

/** What came of a body. */
export interface Received {
  bytesReceived: number;
}

export function requestBody(context: Context<{ Bindings: NodeBindings }>, received: Received): RequestBody {
  const header = context.req.header('content-length');
  const length = header === undefined ? undefined : Number(header);
  const { incoming, outgoing } = context.env ?? {};
  const iterate =
    incoming && outgoing
      ? () => readIncoming(incoming, outgoing, received)
      : () => readWeb(context.req.raw.body ?? undefined, received);
  return { length, [Symbol.asyncIterator]: iterate };
}

async function* readIncoming(incoming: Incoming, outgoing: Outgoing, received: Received): AsyncGenerator<Uint8Array> {
  continueIfExpected(incoming, outgoing);
  try {
    // When the registry refuses in the middle, the connection must live on to carry the answer.
    for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
      received.bytesReceived += chunk.length;
      yield chunk;
    }
  } catch (cause) {
    throw incomplete(cause);
  }
  // A body that was cut by closing the stream ends like a whole one in HTTP/2.
  if (!incoming.complete) throw incomplete();
}

function incomplete(cause?: unknown): RegistryError {
  return new RegistryError('BODY_INCOMPLETE', { cause });
}

async function* readWeb(body: ReadableStream<Uint8Array> | undefined, received: Received): AsyncGenerator<Uint8Array> {
  if (body === undefined) return;
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    received.bytesReceived += chunk.length;
    yield chunk;
  }
}

/** What happened to an answer. */
export interface Sent {
  /** Bytes of the body that went out. */
  bytesSent: number;
  /** The client left before it had all of the answer, or before we had all of its body. */
  clientGone: boolean;
}

/** Whether nothing can be sent any more. In HTTP/2 the response outlives its stream and does not say so itself. */
function isClosed(outgoing: Outgoing): boolean {
  return 'stream' in outgoing ? (outgoing.stream?.destroyed ?? true) : outgoing.destroyed;
}

/**
 * Writes an answer. `common` are headers that every answer carries; the answer's own replace those of the same spelling.
 */
export async function send(
  context: Context<{ Bindings: NodeBindings }>,
  sent: Sent,
  reply: Reply,
  common: Readonly<Record<string, string | readonly string[]>>,
): Promise<Response> {
  const { outgoing } = context.env ?? {};
  // The fault came in the middle of an answer: nothing more can be said.
  if (outgoing?.headersSent) return RESPONSE_ALREADY_SENT;
  const head = context.req.method === 'HEAD';
  const headers = headersOf(reply, common);
  const { body } = reply;

  if (body === undefined || body instanceof Uint8Array || head) {
    const bytes = body instanceof Uint8Array && !head ? body : undefined;
    if (outgoing === undefined) return webResponse(reply.status, headers, bytes);
    if (isClosed(outgoing)) sent.clientGone = true;
    else {
      outgoing.writeHead(reply.status, headers);
      if (bytes === undefined) outgoing.end();
      else finish(outgoing, bytes);
      sent.bytesSent += bytes?.length ?? 0;
    }
    return RESPONSE_ALREADY_SENT;
  }

  if (outgoing === undefined) return webResponse(reply.status, headers, await collect(body));
  const source = await body.open();
  try {
    sent.clientGone = isClosed(outgoing);
    if (sent.clientGone) return RESPONSE_ALREADY_SENT;
    outgoing.writeHead(reply.status, headers);
    await pump(source, body.size, outgoing, sent);
  } catch (error) {
    // The status is gone already: only a broken connection tells the client that the body is not whole.
    outgoing.destroy(error instanceof Error ? error : undefined);
    throw error;
  } finally {
    await source.close?.();
  }
  return RESPONSE_ALREADY_SENT;
}

/** Bodies up to this many bytes leave together with their headers. */
const oneWriteSize = 16 * 1024;

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** Sends the last, or only, part of a body. */
function finish(outgoing: Outgoing, bytes: Uint8Array): void {
  // Node joins a string to the headers, and one write costs a third less than two.
  if (bytes.length <= oneWriteSize) (outgoing as ServerResponse).end(latin1(bytes), 'latin1');
  else outgoing.end(bytes);
}

/** Each chunk is waited for until the kernel has it: the reader then fills the same memory again. */
async function pump(source: AsyncIterable<Uint8Array>, size: number | undefined, outgoing: Outgoing, sent: Sent) {
  let goOn = (): void => undefined;
  outgoing.once('close', () => goOn());
  for await (const chunk of source) {
    if (chunk.length === size && size <= oneWriteSize) {
      finish(outgoing, chunk);
      sent.bytesSent = size;
      return;
    }
    // The client would take what is too much for the beginning of the next answer.
    if (size !== undefined && sent.bytesSent + chunk.length > size) {
      throw new Error(`the content goes on after ${size} bytes`);
    }
    await new Promise<void>((resolve) => {
      goOn = resolve;
      // The types of the two protocols' responses share no overload.
      (outgoing as ServerResponse).write(chunk, () => resolve());
    });
    sent.clientGone = isClosed(outgoing);
    if (sent.clientGone) return;
    sent.bytesSent += chunk.length;
  }
  // Ended normally, a body that is too short would take the next answer for its rest.
  if (size !== undefined && sent.bytesSent !== size) {
    throw new Error(`the content ended after ${sent.bytesSent} of ${size} bytes`);
  }
  outgoing.end();
}

type HeaderRecord = Record<string, string | string[]>;

function headersOf({ status, headers, body }: Reply, common: Reply['headers']): HeaderRecord {
  const all = { ...common, ...headers } as HeaderRecord;
  // RFC 9110, 8.6: no length where there can be no body.
  if (status === 204 || status === 304) return all;
  const size = body === undefined ? 0 : body instanceof Uint8Array ? body.length : body.size;
  if (size !== undefined) all['Content-Length'] = String(size);
  return all;
}

async function collect(body: StreamBody): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await body.open()) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

function webResponse(status: number, record: HeaderRecord, body: Uint8Array | undefined): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(record)) {
    for (const item of [value].flat()) headers.append(name, item);
  }
  return new Response(body === undefined || body.length === 0 ? null : Uint8Array.from(body), { status, headers });
}
