import { type ErrorCode, isRegistryError, RegistryError } from '../oci/errors.ts';
import { DigestMismatchError } from './downloads/download.ts';
import { isUpstreamError, type UpstreamError, withoutStack } from './upstream/errors.ts';

/** When clients may come again if nobody says when, in seconds. */
const retryTime = 5;

/** What clients are told who ask for something that an upstream did not give. @param missing when it has no such thing */
export function registryError(error: unknown, missing: ErrorCode, detail: object): unknown {
  if (error instanceof DigestMismatchError) {
    // Another endpoint may be asked then.
    const headers = { 'Retry-After': String(retryTime) };
    const message = 'no upstream has sent the right bytes';
    return new RegistryError('UNAVAILABLE', { message, headers, detail, cause: error });
  }
  return isUpstreamError(error) ? withoutStack(toldOf(error, missing, detail)) : error;
}

function toldOf(error: UpstreamError, missing: ErrorCode, detail: object): RegistryError {
  const { upstream, kind } = error;
  const said = error.fault.message === undefined ? '' : `: ${error.fault.message}`;
  switch (kind) {
    case 'missing':
      return new RegistryError(missing, { detail, cause: error });
    case 'denied':
      // Not 401: the client's own credentials have nothing to do with it, and it would be asked for them in vain.
      return new RegistryError(missing, { message: `${upstream} does not let this registry in${said}`, cause: error });
    case 'throttled':
      return new RegistryError('TOOMANYREQUESTS', {
        message: `${upstream} wants fewer requests${said}`,
        headers: { 'Retry-After': String(secondsUntil(error)) },
        cause: error,
      });
    default: {
      const fault = kind === 'invalid' ? `does not answer as it should: ${error.reason}` : 'cannot be asked now';
      return new RegistryError('UNAVAILABLE', {
        message: `${upstream} ${fault}${said}`,
        headers: { 'Retry-After': String(secondsUntil(error)) },
        cause: error,
      });
    }
  }
}

/** @param missing the code that says that there is no such thing: then undefined */
export async function unlessUnknown<T>(promise: Promise<T>, missing: ErrorCode): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (isRegistryError(error, missing)) return undefined;
    throw error;
  }
}

/** What clients are told who get what is kept in place of what the upstream would say. @param upstream its name */
export function staleWarning(upstream: string): string {
  return `${upstream} could not be asked; this is what it said before`;
}

/** Whether what is kept may stand in for what the upstream would say. */
export function allowsStale(error: unknown): error is UpstreamError {
  return isUpstreamError(error) && error.kind !== 'missing';
}

function secondsUntil({ retryAt }: UpstreamError): number {
  return retryAt === undefined ? retryTime : Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
}
