import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import {
  createSecureContext,
  type TlsOptions as NodeTlsOptions,
  type SecureContextOptions,
  type TLSSocket,
} from 'node:tls';
import { ListenError } from './listen/listen-error.ts';
import type { Log } from './log.ts';
import { cipherList } from './tls-ciphers.ts';

/** Go's names for what is asked of a client's certificate. */
export type ClientAuth =
  | 'request-client-cert'
  | 'require-any-client-cert'
  | 'verify-client-cert-if-given'
  | 'require-and-verify-client-cert';

export interface TlsOptions {
  /** Path of the certificate and its chain, PEM. */
  certificate: string;
  /** Path of the private key, PEM, not encrypted. */
  key: string;
  /** Paths of the authorities that sign the clients' certificates, PEM. */
  clientcas?: readonly string[] | undefined;
  /** Default with `clientcas` require-and-verify-client-cert, otherwise clients need no certificate. */
  clientauth?: ClientAuth | undefined;
  /** Default tls1.2. */
  minimumtls?: 'tls1.2' | 'tls1.3' | undefined;
  /** OpenSSL's names. For TLS 1.2; those of TLS 1.3 are always on. Default: those with forward secrecy. */
  ciphersuites?: readonly string[] | undefined;
}

/** How often the files are looked at, in milliseconds. */
const pollInterval = 5000;

export interface Certificates {
  /** For the server's start. */
  readonly server: NodeTlsOptions;
  /** Whether the client showed what `clientauth` asks of it. What the handshake itself refuses does not get here. */
  admits(socket: TLSSocket): boolean;
  /**
   * Calls `apply` with the new content whenever the files have changed and can be used; otherwise what was applied
   * before stays, and the log says why.
   */
  watch(apply: (context: SecureContextOptions) => void, interval?: number): void;
  /** Looks at the files now; resolves when what is in them is applied or refused. */
  reload(): Promise<void>;
  close(): void;
}

/**
 * Reads the files of a server's TLS configuration.
 *
 * @throws ListenError TLS_INVALID naming the file and the setting
 */
export async function loadCertificates(options: TlsOptions, log: Log): Promise<Certificates> {
  const clientcas = options.clientcas ?? [];
  const clientauth = options.clientauth ?? (clientcas.length > 0 ? 'require-and-verify-client-cert' : undefined);
  const verifies = clientauth === 'verify-client-cert-if-given' || clientauth === 'require-and-verify-client-cert';
  if (verifies && clientcas.length === 0) {
    throw new ListenError(
      'TLS_INVALID',
      `http.tls.clientauth ${clientauth} needs http.tls.clientcas to verify against`,
    );
  }
  const fixed: SecureContextOptions = {
    minVersion: options.minimumtls === 'tls1.3' ? 'TLSv1.3' : 'TLSv1.2',
    ciphers: cipherList(options.ciphersuites ?? [], log),
  };

  const load = async (): Promise<SecureContextOptions> => {
    const [cert, key, ca] = await Promise.all([
      read('certificate', options.certificate),
      read('key', options.key),
      Promise.all(clientcas.map((path) => read('clientcas', path))),
    ]);
    const context = { ...fixed, cert, key, ...(ca.length > 0 ? { ca } : {}) };
    attempt(
      () => createSecureContext({ cert }),
      `http.tls.certificate ${options.certificate} is not a PEM certificate`,
    );
    attempt(() => createSecureContext({ key }), `http.tls.key ${options.key} is not an unencrypted PEM key`);
    attempt(
      () => createSecureContext(context),
      `http.tls.certificate ${options.certificate} and http.tls.key ${options.key} do not work together`,
    );
    // OpenSSL takes a file without a certificate for an empty list of authorities.
    for (const [at, pem] of ca.entries()) {
      attempt(() => new X509Certificate(pem), `http.tls.clientcas ${clientcas[at]} is not a PEM certificate`);
    }
    return context;
  };

  const paths = [options.certificate, options.key, ...clientcas];
  let seen = await fingerprint(paths);
  const server: NodeTlsOptions = {
    ...(await load()),
    requestCert: clientauth !== undefined,
    rejectUnauthorized: clientauth === 'require-and-verify-client-cert',
  };

  const admits = (socket: TLSSocket) => {
    if (clientauth === undefined || clientauth === 'request-client-cert') return true;
    const shown = Object.keys(socket.getPeerCertificate()).length > 0;
    if (clientauth === 'verify-client-cert-if-given') return !shown || socket.authorized;
    return shown;
  };

  let apply: (context: SecureContextOptions) => void = () => {};
  let timer: NodeJS.Timeout | undefined;

  const reload = async () => {
    seen = await fingerprint(paths);
    try {
      apply(await load());
      log.info('loaded the certificate anew', { certificate: options.certificate });
    } catch (error) {
      log.error('cannot use the new certificate; the one before stays in use', { error });
    }
  };
  const poll = async () => {
    if ((await fingerprint(paths)) !== seen) await reload();
  };

  return {
    server,
    admits,
    reload,
    watch(applyNew, interval = pollInterval) {
      apply = applyNew;
      timer = setInterval(poll, interval).unref();
    },
    close() {
      clearInterval(timer);
    },
  };
}

async function read(setting: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new ListenError('TLS_INVALID', `cannot read http.tls.${setting} ${path}: ${reason(error)}`, { cause: error });
  }
}

function attempt(use: () => unknown, what: string): void {
  try {
    use();
  } catch (error) {
    throw new ListenError('TLS_INVALID', `${what}: ${reason(error)}`, { cause: error });
  }
}

/** Changes when a file is written or replaced, also through a symbolic link as mounted secrets are. */
async function fingerprint(paths: readonly string[]): Promise<string> {
  const marks = paths.map(async (path) => {
    try {
      const { mtimeMs, size, ino } = await stat(path);
      return `${mtimeMs}:${size}:${ino}`;
    } catch {
      return 'absent';
    }
  });
  return (await Promise.all(marks)).join(' ');
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
