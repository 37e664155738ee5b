import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { getRequestListener, RequestError } from '@hono/node-server';
import type { Log } from '../log.ts';
import { refusalBody, refusalHeaders } from './refusal.ts';

/** What serves requests, e.g. a Hono app's `fetch`. The second argument becomes `c.env`. */
export type Fetch = Parameters<typeof getRequestListener>[0];

export type Handler = (
  incoming: IncomingMessage | Http2ServerRequest,
  outgoing: ServerResponse | Http2ServerResponse,
) => void;

/** Joins the application to Node's requests and responses. */
export function createHandler(fetch: Fetch, log: Log): Handler {
  const listener = getRequestListener(fetch, {
    hostname: 'localhost', // For HTTP/1.0 requests without a Host, such as load balancers' health checks.
    autoCleanupIncoming: false, // Unread bodies are looked after by ourselves.
    // Its own Response class would forget, when Hono copies the answer to a HEAD, that it has been sent already.
    overrideGlobalObjects: false,
    errorHandler(error) {
      // A target or host that is no URL; anything else the application should have answered.
      const status = error instanceof RequestError ? 400 : 500;
      if (status === 500) log.error('the application failed', { error });
      const body = refusalBody(status);
      return new Response(body, { status, headers: refusalHeaders(body) });
    },
  });
  return (incoming, outgoing) => {
    listener(incoming, outgoing).catch((error: unknown) => {
      log.error('an answer could not be sent', { error });
      outgoing.destroy();
    });
  };
}
