export type ListenErrorCode =
  /** The address cannot be understood. */
  | 'ADDRESS_INVALID'
  | 'ADDRESS_IN_USE'
  /** The process may not listen there. */
  | 'ADDRESS_DENIED'
  /** The machine does not have the address. */
  | 'ADDRESS_UNAVAILABLE'
  /** A certificate, key or TLS setting cannot be used. */
  | 'TLS_INVALID';

/** The server cannot start to listen. The message is for the operator and says what to do. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: ListenErrorCode;

  constructor(code: ListenErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
