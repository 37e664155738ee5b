import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ClientCertificate } from '../auth/access.ts';

/**
 * The certificate that a client has shown, if it leads to one of `http.tls.clientcas`; undefined for every other, as
 * `request-client-cert` and `require-any-client-cert` take any that anybody has made for himself.
 */
export function clientCertificate(socket: Socket | undefined): ClientCertificate | undefined {
  const tls = socket as TLSSocket | undefined;
  if (tls?.encrypted !== true || !tls.authorized) return undefined;
  const certificate = tls.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const names = alternativeNames(certificate.subjectAltName);
  const commonName = /^CN=(.+)$/m.exec(certificate.subject)?.[1];
  return {
    commonName,
    dnsNames: names('DNS'),
    emails: names('email'),
    uris: names('URI'),
  };
}

/** Reads `DNS:a.example, URI:spiffe://x`. Names that Node had to quote are not what anybody wants to be called. */
function alternativeNames(text = ''): (kind: string) => string[] {
  const pairs = text.split(', ').map((item) => /^([A-Za-z]+):([^"]+)$/.exec(item));
  return (kind) => pairs.flatMap((pair) => (pair?.[1] === kind && pair[2] !== undefined ? [pair[2]] : []));
}
