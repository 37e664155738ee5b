import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';

/** What a token server's signatures are checked with. */
export interface Trust {
  /** Keys by every id that token servers give to them: RFC 7638, libtrust (as `registry:2` has it), their own. */
  readonly keys: ReadonlyMap<string, TrustedKey>;
  /** Roots of the certificates that come with tokens (`x5c`). */
  readonly roots: readonly X509Certificate[];
}

export interface TrustedKey {
  readonly key: KeyObject;
  /** The one algorithm that it is for; undefined: any that fits it. */
  readonly alg?: string | undefined;
}

export class TrustError extends Error {
  override readonly name = 'TrustError';
}

const pemCertificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * @param bundle PEM certificates (`rootcertbundle`); undefined: none
 * @param keySet a JSON Web Key Set (`jwks`); undefined: none
 * @throws TrustError when one of them is not what it should be, or both are empty
 */
export async function readTrust(bundle: string | undefined, keySet: string | undefined): Promise<Trust> {
  const keys = new Map<string, TrustedKey>();
  const roots = (bundle?.match(pemCertificate) ?? []).map(readCertificate);
  if (bundle !== undefined && roots.length === 0) throw new TrustError('there is no PEM certificate in rootcertbundle');
  for (const { publicKey } of roots) {
    keys.set(libtrustId(publicKey), { key: publicKey });
    keys.set(await calculateJwkThumbprint(publicKey.export({ format: 'jwk' }) as JWK), { key: publicKey });
  }
  for (const jwk of keySet === undefined ? [] : readKeySet(keySet)) {
    // RFC 7517, 4.2: some are for other things than signatures.
    if (jwk.use !== undefined && jwk.use !== 'sig') continue;
    const key = readKey(jwk);
    const trusted = { key, alg: typeof jwk.alg === 'string' ? jwk.alg : undefined };
    keys.set(await calculateJwkThumbprint(key.export({ format: 'jwk' }) as JWK), trusted);
    if (typeof jwk.kid === 'string') keys.set(jwk.kid, trusted);
  }
  if (keys.size === 0) throw new TrustError('neither rootcertbundle nor jwks has a key');
  return { keys, roots };
}

function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new TrustError('a certificate in rootcertbundle cannot be read', { cause });
  }
}

function readKeySet(text: string): JWK[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TrustError('jwks is not JSON', { cause });
  }
  const keys = typeof value === 'object' && value !== null && 'keys' in value ? value.keys : undefined;
  if (!Array.isArray(keys)) throw new TrustError('jwks is no JSON Web Key Set: it has no list of keys');
  return keys as JWK[];
}

function readKey(jwk: JWK): KeyObject {
  // A secret key would make the server's own verification key a signing key for everybody who can read the file.
  if (jwk.kty === 'oct') throw new TrustError('jwks has a symmetric key: only public keys can be trusted');
  try {
    return createPublicKey({ key: { ...jwk } as never, format: 'jwk' });
  } catch (cause) {
    throw new TrustError('a key in jwks cannot be read', { cause });
  }
}

/** libtrust: the first 240 bits of SHA-256 of the DER-encoded public key, in base32, in groups of four. */
export function libtrustId(key: KeyObject): string {
  const hash = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 30);
  return base32(hash).match(/.{4}/g)?.join(':') ?? '';
}

const base32Letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648, 6; the length is a multiple of five bytes. */
function base32(bytes: Uint8Array): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? []).map((group) => base32Letters[Number.parseInt(group, 2)]).join('');
}

/** Certificates of a chain, at most; nobody has more than three. */
const maxChain = 8;

/**
 * The key of the first certificate, when the chain leads to one of the roots; undefined when it does not.
 *
 * @param chain as the header `x5c` has it: base64 of DER, each signed by the next
 */
export function keyOfChain(chain: unknown, roots: readonly X509Certificate[], now: Date): KeyObject | undefined {
  // A header is anybody's: of what is no text, Node would make buffers of any size.
  if (!Array.isArray(chain) || !chain.every((item) => typeof item === 'string')) return undefined;
  if (roots.length === 0 || chain.length === 0 || chain.length > maxChain) return undefined;
  const certificates: X509Certificate[] = [];
  try {
    for (const item of chain) certificates.push(new X509Certificate(Buffer.from(item, 'base64')));
  } catch {
    return undefined;
  }
  if (!certificates.every((certificate) => isInTime(certificate, now))) return undefined;
  const [leaf] = certificates;
  for (const [index, certificate] of certificates.entries()) {
    if (roots.some((root) => isInTime(root, now) && (isSame(root, certificate) || isSignedBy(certificate, root)))) {
      return leaf?.publicKey;
    }
    const next = certificates[index + 1];
    if (next === undefined || !isSignedBy(certificate, next)) return undefined;
  }
  return undefined;
}

function isInTime({ validFrom, validTo }: X509Certificate, now: Date): boolean {
  return new Date(validFrom) <= now && now <= new Date(validTo);
}

function isSame(a: X509Certificate, b: X509Certificate): boolean {
  return a.fingerprint256 === b.fingerprint256;
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
