import type { S3ClientConfig } from '@aws-sdk/client-s3';
import type { HttpConnections, HttpRequest } from './http.ts';

/** What the SDK gives to its handler. */
interface SdkRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>> | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: HttpRequest['body'];
}

/** Lets the SDK use our connections. Its answers are small: they are read before they are given to it. */
export function sdkHandler(connections: HttpConnections): NonNullable<S3ClientConfig['requestHandler']> {
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(request: SdkRequest, { abortSignal }: { abortSignal?: unknown } = {}) {
      const { method, protocol, hostname, port, headers, body } = request;
      const origin = `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`;
      const path = request.path + queryOf(request);
      const signal = abortSignal instanceof AbortSignal ? abortSignal : undefined;
      const answer = await connections.send({ origin, path, method, headers, body }, signal);
      const content = await answer.body.bytes();
      return { response: { statusCode: answer.status, headers: { ...answer.headers }, body: content } };
    },
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  };
}

function queryOf({ query = {} }: SdkRequest): string {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one ?? '')}`),
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
