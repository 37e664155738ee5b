import { type ErrorCode, RegistryError, RegistryErrors } from '../oci/errors.ts';
import { json, type Reply } from './reply.ts';

interface Rule {
  readonly status: number;
  readonly message: string;
  /** The code on the wire, where it is not the fault's own name. */
  readonly wire?: string;
}

/** Distribution-spec, "Error Codes", with the statuses that clients know from distribution. */
const rules: Record<ErrorCode, Rule> = {
  BLOB_UNKNOWN: { status: 404, message: 'blob unknown to registry' },
  BLOB_UPLOAD_INVALID: { status: 400, message: 'blob upload invalid' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, message: 'blob upload unknown to registry' },
  BODY_INCOMPLETE: { status: 400, wire: 'SIZE_INVALID', message: 'the body ended before its announced length' },
  DENIED: { status: 403, message: 'requested access to the resource is denied' },
  DIGEST_INVALID: { status: 400, message: 'provided digest is not valid' },
  MANIFEST_BLOB_UNKNOWN: { status: 400, message: 'the repository lacks a blob or manifest that the manifest names' },
  MANIFEST_INVALID: { status: 400, message: 'manifest invalid' },
  MANIFEST_TOO_LARGE: { status: 413, wire: 'MANIFEST_INVALID', message: 'manifest is longer than 4 MiB' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest unknown' },
  NAME_INVALID: { status: 400, message: 'invalid repository name' },
  NAME_UNKNOWN: { status: 404, message: 'repository name not known to registry' },
  NOT_FOUND: { status: 404, wire: 'NAME_UNKNOWN', message: 'no such page' },
  PAGINATION_NUMBER_INVALID: { status: 400, message: 'n must be a whole number, 0 or more' },
  RANGE_INVALID: { status: 416, wire: 'BLOB_UPLOAD_INVALID', message: 'the requested range cannot be served' },
  SIZE_INVALID: { status: 400, message: 'provided length did not match content length' },
  STORAGE_FULL: { status: 507, wire: 'UNAVAILABLE', message: 'the storage of the registry is full' },
  TAG_INVALID: { status: 400, message: 'tag is not valid' },
  TOKEN_REQUEST_INVALID: { status: 400, wire: 'UNSUPPORTED', message: 'the request for a token is not valid' },
  TOO_MANY_TAGS: { status: 414, wire: 'TAG_INVALID', message: 'too many tags in one push' },
  TOOMANYREQUESTS: { status: 429, message: 'too many requests' },
  UNAUTHORIZED: { status: 401, message: 'authentication required' },
  UNAVAILABLE: { status: 503, message: 'the registry cannot answer now; try again later' },
  UNSUPPORTED: { status: 405, message: 'the operation is not supported' },
  UPLOAD_OUT_OF_ORDER: {
    status: 416,
    wire: 'BLOB_UPLOAD_INVALID',
    message: 'chunk does not start where the upload ends',
  },
};

/** Faults of the storage that a client should hear of. They are told by `code`: this layer knows no drivers. */
const storageFaults = new Map<string, ErrorCode>([
  ['STORAGE_FULL', 'STORAGE_FULL'],
  ['STORAGE_UNAVAILABLE', 'UNAVAILABLE'],
  // Keys that expired, a bucket that was renamed: it will be mended, and then the client may go on.
  ['STORAGE_DENIED', 'UNAVAILABLE'],
  ['STORAGE_MISSING', 'UNAVAILABLE'],
  ['STORAGE_READ_ONLY', 'UNSUPPORTED'],
]);

export interface Answered {
  readonly reply: Reply;
  /** How it is to be logged, with its cause: a fault of the server, or of somebody whom it asked. Undefined: of the client. */
  readonly logged?: 'error' | 'warn';
}

/** The only writer of errors: `{"errors":[{code, message, detail}]}`, the status being that of the first one. */
export function errorReply(error: unknown, requestId: string): Answered {
  if (error instanceof RegistryErrors) return { reply: replyOf(error.errors) };
  if (error instanceof RegistryError) {
    const hasCause = rules[error.code].status >= 500 && error.cause !== undefined;
    return { reply: replyOf([error]), ...(hasCause && { logged: 'warn' }) };
  }
  const code = error instanceof Error && 'code' in error ? storageFaults.get(String(error.code)) : undefined;
  if (code !== undefined) return { reply: replyOf([new RegistryError(code)]), logged: 'error' };
  const entry = { code: 'UNKNOWN', message: `internal error; the log has it under request ${requestId}`, detail: null };
  return { reply: json(500, { errors: [entry] }), logged: 'error' };
}

function replyOf(errors: readonly [RegistryError, ...RegistryError[]]): Reply {
  const entries = errors.map(({ code, explained, message, detail }) => {
    const rule = rules[code];
    return { code: rule.wire ?? code, message: explained ? message : rule.message, detail: detail ?? null };
  });
  const { status } = rules[errors[0].code];
  const retry = status === 503 || status === 507 ? { 'Retry-After': '10' } : {};
  return json(status, { errors: entries }, { ...retry, ...errors[0].headers });
}
