/**
 * What can go wrong in a registry, as a closed list of codes. The first fourteen are those of the OCI distribution
 * specification ("Error Codes"); the others refine them where one code stands for faults that a caller must tell
 * apart. How a code looks on the wire (status, message) is decided in `http/errors.ts` and nowhere else.
 */
export type ErrorCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'UNAUTHORIZED'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  /** A manifest longer than the limit. */
  | 'MANIFEST_TOO_LARGE'
  /** A chunk that does not start where the upload ends. */
  | 'UPLOAD_OUT_OF_ORDER'
  /** A body that ended before the length it announced. */
  | 'BODY_INCOMPLETE'
  /** A byte range that cannot be served. */
  | 'RANGE_INVALID'
  | 'TAG_INVALID'
  /** More `tag` parameters than are accepted in one push. */
  | 'TOO_MANY_TAGS'
  | 'PAGINATION_NUMBER_INVALID'
  /** A request for a token that asks for nothing that can be answered. */
  | 'TOKEN_REQUEST_INVALID'
  /** No such route. */
  | 'NOT_FOUND'
  /** The storage is full. */
  | 'STORAGE_FULL'
  /** The registry cannot answer now, but may later. */
  | 'UNAVAILABLE';

export interface RegistryErrorOptions extends ErrorOptions {
  /** Replaces the code's own message. For people, in one sentence; never holds a secret or a path of the server. */
  message?: string;
  /** Any JSON value that helps the client, e.g. `{ digest }`. */
  detail?: unknown;
  /** Headers the answer must carry, e.g. `Range` of a 416. */
  headers?: Readonly<Record<string, string>>;
}

/** A fault with a meaning in the protocol. Everything else that is thrown is a fault inside the server. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly code: ErrorCode;
  readonly detail: unknown;
  readonly headers: Readonly<Record<string, string>> | undefined;
  /** True when `message` was given and is to be shown instead of the code's own. */
  readonly explained: boolean;

  constructor(code: ErrorCode, options: RegistryErrorOptions = {}) {
    super(options.message ?? code, options);
    this.code = code;
    this.detail = options.detail;
    this.headers = options.headers;
    this.explained = options.message !== undefined;
  }
}

/** Several faults of one request, e.g. one `MANIFEST_BLOB_UNKNOWN` for each missing blob. Never empty. */
export class RegistryErrors extends Error {
  override readonly name = 'RegistryErrors';
  readonly errors: readonly [RegistryError, ...RegistryError[]];

  constructor(errors: readonly [RegistryError, ...RegistryError[]]) {
    super(errors.map((error) => error.message).join('; '));
    this.errors = errors;
  }
}

export function isRegistryError(error: unknown, code?: ErrorCode): error is RegistryError {
  return error instanceof RegistryError && (code === undefined || error.code === code);
}
