import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { Connections, NoConnectionError } from '../../src/wire/connections.ts';
import { ForeignAnswerError, isTransient, NoAnswerError, type Place, retryAfter, storageFault } from './errors.ts';
import { HttpConnections } from './http.ts';
import { ObjectRequests } from './objects.ts';
import type { S3Options } from './options.ts';
import { sdkHandler } from './sdk-handler.ts';

interface HttpResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** In milliseconds. */
export const limits = {
  connect: 5_000,
  /** Silence of a connection while a body goes over it. */
  idle: 30_000,
  /** How long an object that is being read keeps its connection while nobody takes its bytes. */
  unread: 30_000,
  /** For the answer to a small request. */
  answer: 10_000,
  /** For the answer to what makes the server move bytes. */
  work: 300_000,
  /** No attempt begins later than that behind the first one. */
  retry: 30_000,
  /** How long an upload that was seen to go on is believed to do so. */
  marker: 500,
};

/** Connections to the server for requests that end by themselves; what needs more waits. */
const maxConnections = 256;

/**
 * The same for objects that are read at the pace of a client: apart, as clients that are slow must not keep everybody else
 * from the server. One that stands still gives its connection back (`limits.unread`). No more, as the server has a limit
 * for all replicas together: a Ceph gateway takes 1,024 requests at a time.
 */
const maxStreams = 512;

/** How long a connection of theirs waits for its next request, in milliseconds: not as long as servers keep theirs. */
const keepAlive = 4_000;

const maxAttempts = 6;

// Which Node releases later versions of the SDK will need is for us to know, not for the log of a registry.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

/** It would write to the console; what matters is thrown. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** One client for all requests but those of objects.ts. */
function createClient(options: S3Options, connections: HttpConnections): S3Client {
  const client = new S3Client({
    ...clientConfig(options, options.regionendpoint),
    requestHandler: sdkHandler(connections),
  });
  // AWS and others take a CRC; OpenStack Swift insists on the older header.
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const request = args.request as { headers?: Record<string, string>; body?: unknown };
      if (context.commandName === 'DeleteObjectsCommand' && request.headers && typeof request.body === 'string') {
        request.headers['content-md5'] = createHash('md5').update(request.body).digest('base64');
      }
      return next(args);
    },
    { step: 'build', name: 'contentMd5OfDeletions' },
  );
  // Some successes need say nothing, and so a page of HTML would do.
  client.middlewareStack.add(
    (next) => async (args) => {
      const output = await next(args);
      const { statusCode, headers } = output.response as HttpResponse;
      if (statusCode < 300 && /^text\/html\b/.test(headers['content-type'] ?? '')) {
        throw new ForeignAnswerError('HTML is not the answer of an S3 server');
      }
      return output;
    },
    { step: 'deserialize', name: 'noHtml' },
  );
  return client;
}

/** A client that only signs: its URLs lead where clients are sent to. */
export function createSigner(options: S3Options): S3Client {
  return new S3Client(clientConfig(options, options.redirectendpoint ?? options.regionendpoint));
}

function clientConfig(options: S3Options, endpoint: string | undefined): S3ClientConfig {
  const { credentials } = options;
  return {
    region: options.region,
    ...(endpoint !== undefined && { endpoint }),
    forcePathStyle: options.forcepathstyle,
    ...(credentials && {
      credentials: {
        accessKeyId: credentials.accesskey,
        secretAccessKey: credentials.secretkey,
        ...(credentials.sessiontoken && { sessionToken: credentials.sessiontoken }),
      },
    }),
    tls: options.secure,
    // Trailing checksums are refused by servers that are not new.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Retrying is done here (see S3Api), where it also covers what streams.
    maxAttempts: 1,
    logger: silent,
    useAccelerateEndpoint: options.accelerate,
    useDualstackEndpoint: options.usedualstack,
    useFipsEndpoint: options.usefipsendpoint,
    ...(options.useragent && { customUserAgent: options.useragent }),
    // Not known to the connections; the server may still refuse before it has all.
    expectContinueHeader: false,
  };
}

export interface CallOptions {
  /** Of the caller. */
  signal?: AbortSignal | undefined;
  /** For the answer to one attempt, in milliseconds. Default {@link limits.answer}. */
  timeout?: number;
  /** Default: as many as {@link limits.retry} allows. */
  attempts?: number;
}

/** Repeats what may succeed a moment later, and tells faults in the words of the contract. */
export class S3Api {
  readonly client: S3Client;
  readonly objects: ObjectRequests;
  readonly place: Place;
  readonly #connections: HttpConnections;
  readonly #streams: Connections;

  constructor(options: S3Options) {
    const { connect, idle } = limits;
    this.#connections = new HttpConnections({ connect, idle, connections: maxConnections }, options);
    this.#streams = new Connections(
      { connect, head: idle, idle, keepAlive, connections: maxStreams },
      { rejectUnauthorized: !options.skipverify },
    );
    this.client = createClient(options, this.#connections);
    this.objects = new ObjectRequests(this.client, this.#connections, this.#streams, options);
    const endpoint = options.regionendpoint ?? 'AWS';
    this.place = { bucket: options.bucket, endpoint, region: options.region };
  }

  /**
   * @param path for messages
   * @param attempt makes the request, each time anew
   * @throws StorageError
   */
  async call<T>(
    path: string,
    attempt: (options: { abortSignal: AbortSignal }) => Promise<T>,
    { signal, timeout = limits.answer, attempts = maxAttempts }: CallOptions = {},
  ): Promise<T> {
    const begun = Date.now();
    for (let count = 1; ; count += 1) {
      signal?.throwIfAborted();
      try {
        return await within(attempt, timeout, signal);
      } catch (error) {
        signal?.throwIfAborted();
        const wait = retryAfter(error) ?? 2 ** count * 50 * (0.5 + Math.random());
        const late = Date.now() + wait - begun > Math.max(limits.retry, timeout);
        if (count >= attempts || late || !isTransient(error)) throw storageFault(error, path, this.place);
        await delay(wait, undefined, signal && { signal });
      }
    }
  }

  close(): void {
    this.client.destroy();
    this.#connections.close();
    this.#streams.close();
  }
}

async function within<T>(
  attempt: (options: { abortSignal: AbortSignal }) => Promise<T>,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    controller.abort();
  }, timeout);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await attempt({ abortSignal: controller.signal });
  } catch (error) {
    const what = error instanceof NoConnectionError ? 'no connection was free' : 'no answer';
    throw timedOut ? new NoAnswerError(`${what} within ${timeout} ms`, { cause: error }) : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
