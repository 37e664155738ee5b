import { Agent, type IncomingMessage, type OutgoingHttpHeaders, request as send } from 'node:http';

export interface RequestOptions {
  /** Sent as they are spelt. */
  headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Bytes are sent with Content-Length, an iterable with chunked transfer coding. */
  body?: string | Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  signal?: AbortSignal;
}

/** A response, whole. */
export class Reply {
  readonly status: number;
  /** Name, value, name, value, … as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  /** For messages, e.g. `GET /v2/`. */
  readonly request: string;

  constructor(request: string, status: number, rawHeaders: readonly string[], body: Buffer) {
    this.request = request;
    this.status = status;
    this.rawHeaders = rawHeaders;
    this.body = body;
  }

  /** Every value of a header, one for each line. */
  headers(name: string): string[] {
    return this.rawHeaders.filter(
      (_, i) => i % 2 === 1 && this.rawHeaders[i - 1]?.toLowerCase() === name.toLowerCase(),
    );
  }

  /** All lines of a header joined by `, `; undefined when there is none. */
  header(name: string): string | undefined {
    const lines = this.headers(name);
    return lines.length === 0 ? undefined : lines.join(', ');
  }

  get text(): string {
    return this.body.toString();
  }

  /** @throws Error that shows the body when it is no JSON */
  json(): unknown {
    try {
      return JSON.parse(this.text);
    } catch (cause) {
      throw new Error(`${this}: not JSON: ${this.text.slice(0, 300)}`, { cause });
    }
  }

  /** For messages: request, status and the beginning of the body. */
  toString(): string {
    return `${this.request.slice(0, 120)} → ${this.status} ${this.text.slice(0, 300)}`;
  }
}

export interface HttpClient {
  readonly url: string;
  /**
   * Sends one request; repeats nothing, and follows nothing but what `followToStorage` says.
   *
   * @param target a path with its query, sent as it is, or a URL of this server
   */
  request(method: string, target: string, options?: RequestOptions): Promise<Reply>;
  /** Closes the idle connections. */
  close(): void;
}

export interface HttpClientOptions {
  /** Largest number of connections; they are kept open. Default: as many as there are requests. */
  maxConnections?: number;
  /** Sees every reply. */
  onReply?: (reply: Reply) => void;
  /** Whether a redirect of a blob to the storage is followed, as all real clients do. Default: not. */
  followToStorage?: boolean;
}

/** A plain HTTP client that shows exactly what comes over the wire. */
export function createHttpClient(url: string, options: HttpClientOptions = {}): HttpClient {
  const { maxConnections = Number.POSITIVE_INFINITY, onReply, followToStorage: follows = false } = options;
  const { hostname, port } = new URL(url);
  const agent = new Agent({ keepAlive: true, maxSockets: maxConnections });

  async function exchange(method: string, target: string, { headers, body, signal }: RequestOptions): Promise<Reply> {
    const path = target.startsWith('http:') ? target.slice(new URL(target).origin.length) : target;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const bytes = typeof body === 'string' || body instanceof Uint8Array ? Buffer.from(body) : undefined;
      const request = send({
        hostname,
        port,
        path,
        method,
        agent,
        signal,
        // Said for methods, too, for which Node does not say it by itself (GET, DELETE).
        headers: { ...(bytes && { 'Content-Length': bytes.length }), ...headers } as OutgoingHttpHeaders,
      });
      request.once('response', resolve);
      // After the response it only says that the server did not want the rest of the body.
      request.on('error', reject);
      if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) request.end(bytes);
      else pump(body, request).catch((error: unknown) => request.destroy(error instanceof Error ? error : undefined));
    });
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    return new Reply(
      `${method} ${path.slice(0, 300)}`,
      response.statusCode ?? 0,
      response.rawHeaders,
      Buffer.concat(chunks),
    );
  }

  return {
    url,
    async request(method, target, requestOptions = {}) {
      const reply = await exchange(method, target, requestOptions);
      onReply?.(reply);
      if (!follows || !leadsToStorage(reply)) return reply;
      const followed = await followToStorage(reply, requestOptions);
      onReply?.(followed);
      return followed;
    },
    close: () => agent.destroy(),
  };
}

function leadsToStorage({ request, status }: Reply): boolean {
  return status === 307 && /^GET \/(.*\/)?v2\/.*\/blobs\/[^/]+$/.test(request);
}

/**
 * Fetches a blob from where the registry says, as real clients do: without `Authorization`.
 *
 * @returns the storage's status, body and what it says of them, with what the registry said of the blob
 */
async function followToStorage(redirect: Reply, { headers = {}, signal }: RequestOptions): Promise<Reply> {
  const kept = Object.entries(headers).filter(([name]) => !/^(authorization|host)$/i.test(name));
  const response = await fetch(redirect.header('location') ?? '', {
    headers: kept.map(([name, value]): [string, string] => [name, [value].flat().join(', ')]),
    redirect: 'error',
    ...(signal && { signal }),
  });
  const ofStorage = ['content-length', 'content-type', 'content-range', 'content-encoding', 'cache-control'];
  const rawHeaders = redirect.rawHeaders.filter((_, i) => {
    const name = redirect.rawHeaders[i - (i % 2)]?.toLowerCase() ?? '';
    return name !== 'location' && !ofStorage.includes(name);
  });
  for (const name of ofStorage) {
    const value = response.headers.get(name);
    if (value !== null) rawHeaders.push(name, value);
  }
  return new Reply(redirect.request, response.status, rawHeaders, Buffer.from(await response.arrayBuffer()));
}

async function pump(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  request: ReturnType<typeof send>,
): Promise<void> {
  for await (const chunk of body) {
    if (request.destroyed) return;
    await new Promise<void>((resolve) => request.write(chunk, () => resolve()));
  }
  request.end();
}
