import { z } from 'zod';
import { cipherSuites } from '../cipher-suites.ts';
import { choice, text } from '../values.ts';

/** `http.tls`: in effect when there is a certificate. What must be given together is in `review.ts`. */
export const tlsSection = z
  .object({
    /** Path of the certificate and its chain (PEM). Default: none, berth speaks plain HTTP. */
    certificate: text.optional(),

    /** Path of the certificate's private key (PEM). */
    key: text.optional(),

    /** Paths of certificates of authorities (PEM, several in a file); clients need a certificate of theirs. Default: none. */
    clientcas: z.array(text).default([]),

    /**
     * What is asked of clients, as Go names it. Default: `require-and-verify-client-cert` where there are `clientcas`;
     * without them it is undefined, and clients are asked for nothing.
     */
    clientauth: choice([
      'require-and-verify-client-cert',
      'request-client-cert',
      'require-any-client-cert',
      'verify-client-cert-if-given',
    ]).optional(),

    /** The lowest version: `tls1.2` or `tls1.3`. Default: `tls1.2`. */
    minimumtls: choice(['tls1.2', 'tls1.3'], ' (the versions before are broken)').default('tls1.2'),

    /**
     * The cipher suites to offer, by their names in Go; `cipherSuites` has OpenSSL's. Without effect with
     * `minimumtls: tls1.3`. Default: none: ECDHE with AES-GCM or ChaCha20.
     */
    ciphersuites: z
      .array(
        text.refine((name) => Object.hasOwn(cipherSuites, name), {
          error: `must be one of ${Object.keys(cipherSuites).join(', ')}`,
        }),
      )
      .default([]),
  })
  .overwrite((tls) =>
    tls.clientcas.length > 0 ? { ...tls, clientauth: tls.clientauth ?? 'require-and-verify-client-cert' } : tls,
  )
  .prefault({});
