import type { Context } from 'hono';
import { RegistryError } from '../oci/errors.ts';
import { send } from './body.ts';
import { errorReply } from './errors.ts';
import type { Log } from './log.ts';
import type { HandlerName, RequestMetrics } from './metrics.ts';
import type { Reply } from './reply.ts';
import { type Addressing, ApiRequest, type AppEnv } from './request.ts';

/** What the registry says of its own state. */
export interface Health {
  /** `/healthz`: the process answers. */
  live(): Promise<Reply>;
  /** `/readyz`: requests can be served. */
  ready(): Promise<Reply>;
  /** Configured checks that fail, by name, with their reason; undefined: none. Everything else then answers 503. */
  failing(): Readonly<Record<string, string>> | undefined;
}

export interface AnswerOptions extends Addressing {
  readonly health: Health;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly log: Log;
  /** Absent: nothing is measured. */
  readonly metrics?: RequestMetrics | undefined;
}

type Answer = (context: Context<AppEnv>) => Promise<Response>;
type Respond = (request: ApiRequest) => Promise<Reply>;

/** Under what a request is counted; asked only where it is. */
type HandlerOf = (request: ApiRequest) => HandlerName;

const other: HandlerOf = () => 'other';

/**
 * Turns what answers a request into what Hono calls. Here, and nowhere else, a request gets its id, a fault becomes an
 * answer, the answer is written, the access log gets its line and the request is measured.
 */
export function createAnswer({ health, headers, log, metrics, ...addressing }: AnswerOptions) {
  const configured = Object.entries(headers).map(([name, values]) => [canonicalName(name), values]);
  const common = { 'Docker-Distribution-API-Version': 'registry/2.0', ...Object.fromEntries(configured) };
  let running = 0;
  let idle: (() => void) | undefined;

  async function run(context: Context<AppEnv>, request: ApiRequest, respond: Respond): Promise<Response> {
    const ids = { ...common, 'X-Request-Id': request.id };
    try {
      const reply = await respond(request);
      request.status = reply.status;
      return await send(context, request, reply, ids);
    } catch (error) {
      const { reply, logged } = errorReply(error, request.id);
      request.status = reply.status;
      if (request.hasLeft) request.clientGone = true;
      else if (logged !== undefined) {
        log[logged]('request failed', { request_id: request.id, method: request.method, path: request.path, error });
      }
      return send(context, request, reply, ids);
    }
  }

  function always(respond: Respond, handlerOf: HandlerOf = other): Answer {
    return async function answer(context) {
      const time = new Date();
      const request = new ApiRequest(context, addressing);
      const ended = metrics?.begin(handlerOf(request), request.method);
      running++;
      let response: Response;
      try {
        response = await run(context, request, respond);
      } finally {
        running--;
        if (running === 0) idle?.();
      }
      const status = request.clientGone ? clientClosedRequest : request.status;
      ended?.({ status, bytesReceived: request.bytesReceived, bytesSent: request.bytesSent });
      const { incoming } = context.env ?? {};
      log.access({
        time,
        duration: Date.now() - time.getTime(),
        remote: request.remoteAddress,
        user: request.user,
        method: request.method,
        target: incoming?.url ?? request.path,
        protocol: `HTTP/${incoming?.httpVersion ?? '1.1'}`,
        status,
        bytes: request.bytesSent,
        referer: request.header('referer'),
        userAgent: request.header('user-agent'),
        requestId: request.id,
      });
      return response;
    };
  }

  return {
    always,

    /** The same, but 503 while the registry is not healthy. */
    whenHealthy: (respond: Respond, handlerOf?: HandlerOf): Answer =>
      always(async (request) => {
        if (health.failing() !== undefined) throw new RegistryError('UNAVAILABLE');
        return respond(request);
      }, handlerOf),

    /** Resolves when no request is being answered. */
    settled: () =>
      new Promise<void>((resolve) => {
        if (running === 0) resolve();
        else idle = resolve;
      }),
  };
}

/** What distribution and nginx log for a client that went away before it had its answer. */
const clientClosedRequest = 499;

/** Variables of the environment give names in lower case; ours must replace them, so both are spelt alike. */
function canonicalName(name: string): string {
  return name.toLowerCase().replace(/(?:^|-)[a-z]/g, (letter) => letter.toUpperCase());
}
