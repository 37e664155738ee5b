import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  ListPartsCommand,
} from '@aws-sdk/client-s3';
import { type GetOptions, ObjectTooLargeError, StorageError, WriterBusyError } from '../driver.ts';
import { type CallOptions, limits, S3Api } from './client.ts';
import {
  driverName,
  ForeignAnswerError,
  genuine,
  isMissingUpload,
  isNotImplemented,
  isTaken,
  TruncatedError,
} from './errors.ts';
import type { ListAnswer } from './list-answer.ts';
import type { OpenedObject, StoredObject } from './objects.ts';
import type { S3Options } from './options.ts';
import type { Segments } from './segments.ts';

/** Keys of one request; S3 takes no more. */
const maxDeletions = 1000;

/** What is said with each object that is made. */
export interface ObjectAttributes {
  readonly ContentType: 'application/octet-stream';
  readonly ServerSideEncryption?: 'aws:kms' | 'AES256';
  readonly SSEKMSKeyId?: string;
  readonly StorageClass?: never;
  readonly ACL?: never;
}

export interface OpenOptions extends CallOptions {
  /** Whoever reads it may be as slow as a client: it has a connection of those that are for that. Default false. */
  readonly slow?: boolean;
}

/** The requests that the driver is made of, in one bucket. Each is one request to the server unless it says otherwise. */
export class Bucket {
  readonly api: S3Api;
  readonly name: string;
  readonly attributes: ObjectAttributes;
  /** The same, as headers. */
  readonly #headers: Readonly<Record<string, string>>;
  readonly #root: string;
  /** False when the server has refused a conditional PUT: then nothing but the listing tells writers apart. */
  conditional = true;

  constructor(options: S3Options) {
    this.api = new S3Api(options);
    this.name = options.bucket;
    this.#root = options.rootdirectory.replace(/\/+$/, '');
    this.attributes = attributesOf(options);
    this.#headers = headersOf(this.attributes);
  }

  /** As distribution names it: no slash in front. */
  keyOf(path: string): string {
    return (this.#root + path).replace(/^\/+/, '');
  }

  async get(
    path: string,
    key: string,
    { maxSize = Number.POSITIVE_INFINITY, ...options }: CallOptions & GetOptions = {},
  ): Promise<Buffer> {
    return this.api.call(
      path,
      async (http) => {
        const { size, body } = await this.api.objects.get(key, {}, http.abortSignal);
        if (size > maxSize) {
          body.destroy();
          throw new ObjectTooLargeError(driverName, path, size);
        }
        const bytes = await body.bytes();
        if (bytes.length !== size) throw new TruncatedError(`${bytes.length} of ${size} bytes came`);
        return bytes;
      },
      options,
    );
  }

  /** Resolves when the answer begins; the body is then read, or destroyed. */
  async open(
    path: string,
    key: string,
    range: { readonly start: number; readonly end: number | undefined } | undefined,
    etag: string | undefined,
    { slow, ...options }: OpenOptions = {},
  ): Promise<OpenedObject> {
    const headers = {
      ...(range !== undefined && { range: `bytes=${range.start}-${range.end ?? ''}` }),
      ...(etag !== undefined && { 'if-match': etag }),
    };
    return this.api.call(
      path,
      async (http) => {
        const { objects } = this.api;
        const opened = await (slow
          ? objects.stream(key, headers, http.abortSignal)
          : objects.get(key, headers, http.abortSignal));
        if (range === undefined || opened.contentRange?.startsWith(`bytes ${range.start}-`)) return opened;
        opened.body.destroy();
        throw new ForeignAnswerError('a range was asked for, and something else came');
      },
      options,
    );
  }

  async head(path: string, key: string, options: CallOptions = {}): Promise<StoredObject> {
    return this.api.call(path, (http) => this.api.objects.head(key, http.abortSignal), options);
  }

  async put(path: string, key: string, content: Uint8Array): Promise<void> {
    await this.api.call(path, (http) => this.api.objects.put(key, this.#headers, content, http.abortSignal));
  }

  /** @returns whether it went through at the first attempt: the memory may then be used for something else */
  async putSegments(path: string, key: string, content: Segments): Promise<boolean> {
    return (await this.#putSegments(path, key, content, {})).clean;
  }

  /**
   * Stores an object under a key that nobody has.
   *
   * @throws WriterBusyError when somebody has it
   */
  async putNew(
    path: string,
    key: string,
    content: Segments,
    note: string | undefined,
  ): Promise<{ etag: string; clean: boolean }> {
    const nonce = randomUUID();
    try {
      return await this.#putSegments(path, key, content, {
        'x-amz-meta-writer': nonce,
        ...(note !== undefined && { 'x-amz-meta-note': note }),
        ...(this.conditional && { 'if-none-match': '*' }),
      });
    } catch (error) {
      const cause = error instanceof StorageError ? error.cause : error;
      if (this.conditional && isNotImplemented(cause)) {
        this.conditional = false;
        return this.putNew(path, key, content, note);
      }
      if (!isTaken(cause)) throw error;
      // An attempt whose answer was lost may have stored it.
      const { metadata, etag } = await this.head(path, key);
      if (metadata.writer !== nonce) throw new WriterBusyError(driverName, path);
      return { etag, clean: false };
    }
  }

  async #putSegments(
    path: string,
    key: string,
    content: Segments,
    headers: Readonly<Record<string, string>>,
  ): Promise<{ etag: string; clean: boolean }> {
    let attempts = 0;
    const all = { ...this.#headers, ...headers, 'content-length': String(content.size) };
    const { etag } = await this.api.call(
      path,
      (http) => {
        attempts += 1;
        return this.api.objects.put(key, all, content.stream(), http.abortSignal);
      },
      { timeout: limits.work },
    );
    return { etag, clean: attempts === 1 };
  }

  /** @param query of ListObjectsV2, in its own words */
  async list(
    path: string,
    query: {
      readonly prefix: string;
      readonly delimiter?: '/';
      readonly 'start-after'?: string;
      readonly 'max-keys'?: string;
      readonly 'continuation-token'?: string;
    },
    options: CallOptions = {},
  ): Promise<ListAnswer> {
    return this.api.call(path, (http) => this.api.objects.list(query, http.abortSignal), options);
  }

  /** Everything below a prefix, in byte order of the key, behind the key `after`; one request for each 1,000. */
  async *listAll(path: string, prefix: string, { after, ...options }: CallOptions & { after?: string } = {}) {
    let token: string | undefined;
    do {
      const from =
        token === undefined ? after !== undefined && { 'start-after': after } : { 'continuation-token': token };
      const page = await this.list(path, { prefix, ...from }, options);
      yield* page.objects;
      token = page.next;
    } while (token !== undefined);
  }

  /** One request for each 1,000. Keys that nobody has do no harm. */
  async delete(path: string, keys: readonly string[]): Promise<void> {
    const [only] = keys;
    if (keys.length === 1) {
      await this.api.call(path, (http) =>
        this.api.client.send(new DeleteObjectCommand({ Bucket: this.name, Key: only }), http),
      );
      return;
    }
    for (let first = 0; first < keys.length; first += maxDeletions) {
      const Objects = keys.slice(first, first + maxDeletions).map((Key) => ({ Key }));
      await this.api.call(
        path,
        async (http) => {
          const { Errors } = await this.api.client.send(
            new DeleteObjectsCommand({ Bucket: this.name, Delete: { Objects, Quiet: true } }),
            http,
          );
          const fault = Errors?.find(({ Code }) => Code !== 'NoSuchKey');
          if (fault === undefined) return;
          const error = new Error(`${fault.Key}: ${fault.Message ?? ''}`);
          error.name = fault.Code ?? 'UnknownError';
          throw Object.assign(error, { $metadata: { httpStatusCode: fault.Code === 'AccessDenied' ? 403 : 500 } });
        },
        { timeout: limits.idle },
      );
    }
  }

  /** When a part of a multipart upload was stored last; undefined when none was, or the upload is gone. */
  async lastPart(path: string, key: string, uploadId: string, options: CallOptions = {}): Promise<Date | undefined> {
    let last: Date | undefined;
    let marker: string | undefined;
    try {
      do {
        const command = new ListPartsCommand({
          Bucket: this.name,
          Key: key,
          UploadId: uploadId,
          ...(marker && { PartNumberMarker: marker }),
        });
        const page = await this.api.call(
          path,
          async (http) => genuine(await this.api.client.send(command, http), 'IsTruncated'),
          options,
        );
        for (const { LastModified } of page.Parts ?? []) last = later(last, LastModified);
        marker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
      } while (marker !== undefined);
    } catch (error) {
      if (!isMissingUpload(error instanceof StorageError ? (error.cause ?? error) : error)) throw error;
    }
    return last;
  }

  /** An upload that is gone already is what was wanted. */
  async abort(path: string, key: string, uploadId: string): Promise<void> {
    try {
      await this.api.call(path, (http) =>
        this.api.client.send(
          new AbortMultipartUploadCommand({ Bucket: this.name, Key: key, UploadId: uploadId }),
          http,
        ),
      );
    } catch (error) {
      if (!isMissingUpload(error instanceof StorageError ? (error.cause ?? error) : error)) throw error;
    }
  }
}

/** The later one of two dates, of which there may be none. */
export function later(a: Date | undefined, b: Date | undefined): Date | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? b : a;
}

function attributesOf({ encrypt, keyid, storageclass, objectacl }: S3Options): ObjectAttributes {
  return {
    ContentType: 'application/octet-stream',
    ...(encrypt && { ServerSideEncryption: keyid === undefined ? ('AES256' as const) : ('aws:kms' as const) }),
    ...(encrypt && keyid !== undefined && { SSEKMSKeyId: keyid }),
    // The SDK knows them as lists of texts; options.ts has checked them.
    ...(storageclass !== 'NONE' && storageclass !== 'STANDARD' && { StorageClass: storageclass as never }),
    ...(objectacl !== 'private' && { ACL: objectacl as never }),
  };
}

function headersOf(attributes: ObjectAttributes): Record<string, string> {
  const { ContentType, ServerSideEncryption, SSEKMSKeyId, StorageClass, ACL } = attributes;
  const headers: Record<string, string | undefined> = {
    'content-type': ContentType,
    'x-amz-server-side-encryption': ServerSideEncryption,
    'x-amz-server-side-encryption-aws-kms-key-id': SSEKMSKeyId,
    'x-amz-storage-class': StorageClass,
    'x-amz-acl': ACL,
  };
  const given = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(given);
}
