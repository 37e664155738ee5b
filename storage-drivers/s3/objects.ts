import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Body } from '../../src/wire/body.ts';
import type { Connections } from '../../src/wire/connections.ts';
import type { Answer } from '../../src/wire/messages.ts';
import { ForeignAnswerError, ServerFault } from './errors.ts';
import type { HttpConnections, HttpRequest } from './http.ts';
import { type ListAnswer, parseListAnswer } from './list-answer.ts';
import type { S3Options } from './options.ts';

/** What a server says of an object. */
export interface StoredObject {
  readonly etag: string;
  /** Bytes of the body, or for HEAD those it would have. */
  readonly size: number | undefined;
  readonly modified: Date | undefined;
  readonly contentRange: string | undefined;
  /** The `x-amz-meta-` headers. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface OpenedObject extends StoredObject {
  readonly size: number;
  /** To be read to its end, or destroyed. */
  readonly body: Body;
}

/** Where the objects of a bucket are, and what a signature there covers. */
interface Endpoint {
  readonly signer: SignatureV4;
  readonly protocol: string;
  readonly hostname: string;
  readonly host: string;
  /** Of the bucket, ending in a slash. */
  readonly path: string;
}

const sha256OfNothing = createHash('sha256').digest('hex');

/** An error has a few hundred bytes; a page of somebody else may have any number. */
const maxErrorSize = 64 * 1024;

/**
 * GET, HEAD and PUT of objects and lists of them, which is most of what a registry asks of a server. They are signed by the SDK's signer but
 * do not go through its commands, whose machinery takes several times the processor time of the request itself.
 */
export class ObjectRequests {
  readonly #client: S3Client;
  readonly #http: HttpConnections;
  readonly #streams: Connections;
  readonly #bucket: string;
  readonly #userAgent: string;
  #endpoint: Promise<Endpoint> | undefined;

  /** @param streams for objects of which somebody else says how fast they are read */
  constructor(
    client: S3Client,
    http: HttpConnections,
    streams: Connections,
    { bucket, useragent }: Pick<S3Options, 'bucket' | 'useragent'>,
  ) {
    this.#client = client;
    this.#http = http;
    this.#streams = streams;
    this.#bucket = bucket;
    this.#userAgent = useragent === undefined ? 'berth' : `berth ${useragent}`;
  }

  async get(key: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<OpenedObject> {
    return opened(await this.#send('GET', key, headers, undefined, signal));
  }

  /** For somebody else, who says how fast it is read. */
  async stream(key: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<OpenedObject> {
    const request = await this.#sign('GET', key, headers, undefined);
    const answer = await this.#streams.send({ ...request, method: 'GET' }, signal);
    if (answer.status < 300) return opened(answer);
    throw await faultOf(answer);
  }

  async head(key: string, signal: AbortSignal): Promise<StoredObject> {
    const answer = await this.#send('HEAD', key, {}, undefined, signal);
    return storedObject(answer);
  }

  /** @param body a stream is not covered by the signature, bytes are */
  async put(
    key: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array | Readable,
    signal: AbortSignal,
  ): Promise<StoredObject> {
    const answer = await this.#send('PUT', key, headers, body, signal);
    await answer.body.bytes();
    return storedObject(answer);
  }

  /** ListObjectsV2. */
  async list(query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ListAnswer> {
    const answer = await this.#send('GET', '', {}, undefined, signal, { 'list-type': '2', ...query });
    return parseListAnswer((await answer.body.bytes()).toString());
  }

  async #send(
    method: string,
    key: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array | Readable | undefined,
    signal: AbortSignal,
    query: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const answer = await this.#http.send({ ...(await this.#sign(method, key, headers, body, query)), body }, signal);
    if (answer.status < 300) return answer;
    throw await faultOf(answer);
  }

  async #sign(
    method: string,
    key: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array | Readable | undefined,
    query: Readonly<Record<string, string>> = {},
  ): Promise<Omit<HttpRequest, 'body'>> {
    this.#endpoint ??= this.#findEndpoint();
    const endpoint = await this.#endpoint.catch((error: unknown) => {
      this.#endpoint = undefined;
      throw error;
    });
    const { protocol, hostname, host } = endpoint;
    const path = endpoint.path + key.split('/').map(encodeSegment).join('/');
    const signed = await endpoint.signer.sign(
      {
        method,
        protocol,
        hostname,
        path,
        query,
        headers: { ...headers, host, 'user-agent': this.#userAgent, 'x-amz-content-sha256': hashOf(body) },
      },
      // The SDK learns how far the clock of this machine is off from what servers answer.
      { signingDate: new Date(Date.now() + this.#client.config.systemClockOffset) },
    );
    const parameters = Object.entries(query).map(([name, value]) => `${name}=${encodeSegment(value)}`);
    const target = parameters.length === 0 ? path : `${path}?${parameters.join('&')}`;
    return { origin: `${protocol}//${host}`, path: target, method, headers: signed.headers };
  }

  /** The rules of AWS are many: the SDK knows where a bucket is, and what a signature for it has to name. */
  async #findEndpoint(): Promise<Endpoint> {
    const { credentials, sha256 } = this.#client.config;
    const url = new URL(await getSignedUrl(this.#client, new GetObjectCommand({ Bucket: this.#bucket, Key: 'key' })));
    const [, region = '', service = ''] =
      /^[^/]+\/\d+\/([^/]+)\/([^/]+)\//.exec(url.searchParams.get('X-Amz-Credential') ?? '') ?? [];
    return {
      signer: new SignatureV4({ credentials, region, service, sha256, uriEscapePath: false, applyChecksum: false }),
      protocol: url.protocol,
      hostname: url.hostname,
      host: url.host,
      path: url.pathname.slice(0, -'key'.length),
    };
  }
}

/** As the signature wants it: all but the unreserved characters of RFC 3986. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function hashOf(body: Uint8Array | Readable | undefined): string {
  if (body === undefined) return sha256OfNothing;
  return body instanceof Uint8Array ? createHash('sha256').update(body).digest('hex') : 'UNSIGNED-PAYLOAD';
}

function storedObject({ headers }: Pick<Answer, 'headers'>): StoredObject {
  const { etag, 'content-length': length, 'last-modified': modified, 'content-range': contentRange } = headers;
  if (etag === undefined) throw foreign('etag');
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('x-amz-meta-')) metadata[name.slice('x-amz-meta-'.length)] = value;
  }
  return {
    etag,
    size: length === undefined ? undefined : Number(length),
    modified: modified === undefined ? undefined : new Date(modified),
    contentRange,
    metadata,
  };
}

function opened(answer: Pick<Answer, 'headers' | 'body'>): OpenedObject {
  const { body } = answer;
  try {
    const object = storedObject(answer);
    if (object.size === undefined) throw foreign('content-length');
    return { ...object, size: object.size, body };
  } catch (error) {
    body.destroy();
    throw error;
  }
}

function foreign(header: string): ForeignAnswerError {
  return new ForeignAnswerError(`a success without ${header} is not the answer of an S3 server`);
}

async function faultOf({ status, headers, body }: Answer): Promise<ServerFault> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      chunks.push(Buffer.from(chunk));
      size += chunk.length;
      if (size > maxErrorSize) break;
    }
  } catch {
    // The status has come, and says enough.
  } finally {
    body.destroy();
  }
  return new ServerFault(status, headers, Buffer.concat(chunks).toString());
}
