import { PathNotFoundError, StorageError, StorageFullError, StorageUnavailableError } from '../driver.ts';

export const driverName = 's3';

/** What a fault of the SDK may have; which of it there is depends on where it arose. */
interface SdkFault extends Error {
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
  readonly Region?: unknown;
}

/** The time limit of one attempt. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
}

/** A body that has not as many bytes as its length says. */
export class TruncatedError extends Error {
  override readonly name = 'TruncatedError';
}

/** What a server answered instead of a success, in the shape that the faults of the SDK have. */
export class ServerFault extends Error {
  override readonly name: string;
  readonly $metadata: { readonly httpStatusCode: number };
  readonly $response: { readonly statusCode: number; readonly headers: Readonly<Record<string, string>> };
  readonly Region: string | undefined;

  /** @param body an error in XML, anything else, or nothing, as for HEAD */
  constructor(status: number, headers: Readonly<Record<string, string>>, body: string) {
    super(elementOf(body, 'Message') ?? '');
    this.name = elementOf(body, 'Code') ?? String(status);
    this.$metadata = { httpStatusCode: status };
    this.$response = { statusCode: status, headers };
    this.Region = elementOf(body, 'Region');
  }
}

function elementOf(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text?.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
}

/** A success that lacks what every S3 server says: something in between has answered in its place. */
export class ForeignAnswerError extends Error {
  override readonly name = 'ForeignAnswerError';
}

/** @throws ForeignAnswerError when an answer lacks any of these */
export function genuine<T extends object>(answer: T, ...keys: readonly (keyof T)[]): T {
  const lacking = keys.find((key) => answer[key] === undefined);
  if (lacking === undefined) return answer;
  throw new ForeignAnswerError(`a success without ${String(lacking)} is not the answer of an S3 server`);
}

export function statusOf(error: unknown): number | undefined {
  const fault = error as SdkFault;
  return fault?.$metadata?.httpStatusCode ?? fault?.$response?.statusCode;
}

/** As the server names it (`NoSuchKey`, `SlowDown`), or as the system does (`ECONNRESET`). */
function nameOf(error: unknown): string {
  const { name, code } = error as SdkFault;
  // Errors of the system and of its resolver are plain ones with a code.
  return typeof code === 'string' && (name === 'Error' || name === 'AggregateError') ? code : String(name);
}

/** A GET tells a missing bucket from a missing key; a HEAD has no body and so does not. */
export function isMissingKey(error: unknown): boolean {
  if (error instanceof PathNotFoundError) return true;
  const name = nameOf(error);
  return name === 'NoSuchKey' || name === 'NotFound' || (statusOf(error) === 404 && name !== 'NoSuchBucket');
}

/** Ceph answers with the one, AWS and Swift with the other. */
export function isMissingUpload(error: unknown): boolean {
  return nameOf(error) === 'NoSuchUpload' || isMissingKey(error);
}

/** `If-None-Match: *` on what exists. */
export function isTaken(error: unknown): boolean {
  return statusOf(error) === 412 || nameOf(error) === 'PreconditionFailed';
}

/** The server does not know what was asked for, e.g. a conditional PUT. */
export function isNotImplemented(error: unknown): boolean {
  return statusOf(error) === 501 || nameOf(error) === 'NotImplemented';
}

const busy = new Set(['SlowDown', 'RequestTimeout', 'OperationAborted', 'ConditionalRequestConflict', 'Throttling']);

/** Whether the same request may succeed a moment later. What has no status never came to an answer. */
export function isTransient(error: unknown): boolean {
  if (error instanceof StorageError) return error.code === 'STORAGE_UNAVAILABLE';
  const status = statusOf(error);
  if (busy.has(nameOf(error)) || status === 429) return true;
  if (status === undefined) return !isProgramFault(error);
  // A 200 whose body could not be read to its end is a fault as well.
  return (status >= 500 && status !== 501 && status !== 507) || (status >= 200 && status < 300);
}

/** Not a matter of the network: repeating it changes nothing. */
function isProgramFault(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || nameOf(error).startsWith('CredentialsProvider');
}

/** In milliseconds; undefined when the server does not say. */
export function retryAfter(error: unknown): number | undefined {
  const seconds = Number((error as SdkFault)?.$response?.headers?.['retry-after']);
  return Number.isFinite(seconds) ? seconds * 1000 : undefined;
}

/** What the messages need to know. Nothing of it is secret. */
export interface Place {
  readonly bucket: string;
  readonly endpoint: string;
  readonly region: string;
}

/** The fault in the words of the contract. What is one already stays as it is. */
export function storageFault(error: unknown, path: string, place: Place): unknown {
  if (error instanceof StorageError) return error;
  const name = nameOf(error);
  const status = statusOf(error);
  const options = { cause: error };
  const denied = (message: string) => new StorageError('STORAGE_DENIED', driverName, path, message, options);
  const missing = (message: string) => new StorageError('STORAGE_MISSING', driverName, path, message, options);
  const fault = (message: string) => new StorageError('STORAGE_FAULT', driverName, path, message, options);
  const { bucket, endpoint, region } = place;

  switch (name) {
    case 'NoSuchBucket':
      return missing(`there is no bucket ${bucket} at ${endpoint}: create it, or mend storage.s3.bucket`);
    case 'InvalidAccessKeyId':
      return denied(`${endpoint} does not know the access key: mend storage.s3.accesskey`);
    case 'SignatureDoesNotMatch':
      return denied(`${endpoint} refuses the signature: mend storage.s3.secretkey`);
    case 'ExpiredToken':
    case 'InvalidToken':
      return denied('the session token is not valid any more: mend storage.s3.sessiontoken');
    case 'RequestTimeTooSkewed':
      return denied(`the clock of this machine differs too much from that of ${endpoint}`);
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
    case 'IllegalLocationConstraintException':
    case '301':
      return missing(`bucket ${bucket} is not in the region ${region}${actualRegion(error)}: mend storage.s3.region`);
    case 'CredentialsProviderError':
      return denied(
        'there are no credentials: set storage.s3.accesskey and secretkey, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role',
      );
    case 'QuotaExceeded':
    case 'InsufficientCapacity':
      return new StorageFullError(driverName, path, options);
    default:
  }
  if (status === 507) return new StorageFullError(driverName, path, options);
  if (isMissingKey(error)) return new PathNotFoundError(driverName, path, options);
  if (status === 401 || status === 403) {
    return denied(`${endpoint} does not allow it (${name}): check the credentials and the policy of bucket ${bucket}`);
  }
  if (status === 301) {
    return missing(`bucket ${bucket} is not in the region ${region}${actualRegion(error)}: mend storage.s3.region`);
  }
  if (isTransient(error)) {
    const reason = status === undefined || status < 300 ? messageOf(error) : `${name}, status ${status}`;
    return new StorageUnavailableError(
      driverName,
      path,
      `${endpoint} does not answer as it should: ${reason}`,
      options,
    );
  }
  return fault(`${name}${status === undefined ? '' : `, status ${status}`}: ${messageOf(error)}`);
}

function actualRegion(error: unknown): string {
  const { Region, $response } = error as SdkFault;
  const actual = Region ?? $response?.headers?.['x-amz-bucket-region'];
  return typeof actual === 'string' ? ` but in ${actual}` : '';
}

/** A failed connection to a name with several addresses has no message of its own. */
function messageOf(error: unknown): string {
  const { message, code } = error as SdkFault;
  return message || (typeof code === 'string' ? code : nameOf(error));
}
