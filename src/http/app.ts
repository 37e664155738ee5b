import { Hono } from 'hono';
import type { AccessController } from '../auth/access.ts';
import type { TokenService } from '../auth/builtin/service.ts';
import { RegistryError } from '../oci/errors.ts';
import { createAnswer, type Health } from './answer.ts';
import type { Log } from './log.ts';
import type { RequestMetrics } from './metrics.ts';
import type { Reply } from './reply.ts';
import { json } from './reply.ts';
import type { Addressing, ApiRequest, AppEnv } from './request.ts';
import { pingV1, search } from './routes/search.ts';
import type { Services } from './routes/services.ts';
import { createTokenEndpoint } from './routes/token.ts';
import { createV2, handlerOf } from './routes/v2.ts';

export interface AppOptions extends Services, Addressing {
  readonly access: AccessController;
  /** Absent: tokens, if there are any, come from elsewhere. */
  readonly tokens?: TokenService | undefined;
  readonly health: Health;
  /** `http.headers`: added to every answer. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly log: Log;
  /** Absent: nothing is measured. */
  readonly metrics?: RequestMetrics | undefined;
}

export interface App {
  /** Answers a request; what a server is given. */
  readonly fetch: Hono<AppEnv>['fetch'];
  /** For tests: the same without a socket. */
  readonly request: Hono<AppEnv>['request'];
  /** Resolves when no request is being answered. */
  settled(): Promise<void>;
}

export function createApp(options: AppOptions): App {
  const { registry, access, tokens, health, prefix } = options;
  const { always, whenHealthy, settled } = createAnswer(options);
  const v2 = whenHealthy(createV2(options), handlerOf);

  const app = new Hono<AppEnv>();
  app.all('/healthz', always(readOnly(health.live)));
  app.all('/readyz', always(readOnly(health.ready)));
  app.all(`${prefix}/`, whenHealthy(readOnly(async () => ({ status: 200, headers: { 'Cache-Control': 'no-cache' } }))));
  app.all(
    `${prefix}/v1/_ping`,
    whenHealthy(readOnly(pingV1), () => 'search'),
  );
  app.all(
    `${prefix}/v1/search`,
    whenHealthy(
      readOnly(async (request) => {
        const caller = await access.authorize(request, [{ type: 'registry', name: 'search', actions: ['*'] }]);
        request.user = caller.subject;
        return search(request, registry, caller);
      }),
      () => 'search',
    ),
  );
  if (tokens !== undefined) {
    app.all(
      `${prefix}/auth/token`,
      whenHealthy(createTokenEndpoint(tokens), () => 'token'),
    );
    app.all(`${prefix}/auth/jwks.json`, whenHealthy(readOnly(async () => json(200, tokens.keySet()))));
  }
  app.all(`${prefix}/v2`, v2);
  app.all(`${prefix}/v2/*`, v2);
  app.notFound(
    always(async () => {
      throw new RegistryError('NOT_FOUND');
    }),
  );
  const { fetch, request } = app;
  return { fetch: fetch.bind(app), request: request.bind(app), settled };
}

function readOnly(respond: (request: ApiRequest) => Promise<Reply>) {
  return async (request: ApiRequest) => {
    if (request.method === 'GET' || request.method === 'HEAD') return respond(request);
    throw new RegistryError('UNSUPPORTED', { headers: { Allow: 'GET, HEAD' } });
  };
}
