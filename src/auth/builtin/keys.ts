import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { z } from 'zod';
import { readJson, type SharedStore, writeJson } from '../store.ts';

/** ECDSA on P-256 with SHA-256: short, fast, and known to every library. */
export const algorithm = 'ES256';

const folder = 'keys';

/** How often other replicas are asked for a key that nobody here knows, at most. In milliseconds. */
const reloadPause = 5_000;

/** How often the keys are read anyway, so that a rotation reaches every replica. In milliseconds. */
const refreshInterval = 10_000;

/** A new key signs when every replica has had the time to see it, if there is another one meanwhile. In milliseconds. */
const settleTime = 3 * refreshInterval;

const storedKey = z.object({
  created: z.iso.datetime(),
  /** From then on nothing is believed that it has signed. Absent: it is not retired. */
  expires: z.iso.datetime().optional(),
  jwk: z.looseObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string(), d: z.string() }),
});

export interface SigningKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  readonly created: Date;
  readonly expires: Date | undefined;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  /** Public. */
  readonly jwk: JWK;
}

/** The keys that tokens are signed with, shared by all replicas through the storage. */
export interface SigningKeys {
  /** The one to sign with. No I/O. */
  readonly current: SigningKey;
  /** All whose signatures count, for `/auth/jwks.json`. No I/O. */
  readonly valid: readonly SigningKey[];
  /** Looks in the storage only for a key that is not known here: another replica may just have made it. */
  find(kid: string): Promise<SigningKey | undefined>;
  /** Whether signatures of the key count, as far as is known here. No I/O. */
  trusts(kid: string): boolean;
  close(): void;
}

export interface SigningKeysOptions {
  readonly store: SharedStore;
  /** Whether no key may be made. */
  readonly readOnly: boolean;
  /** Called when the keys could not be read again; those that are known go on to serve. */
  readonly onFault: (error: unknown) => void;
}

/** Reads the keys, and makes the first one where there is none. */
export async function openSigningKeys({ store, readOnly, onFault }: SigningKeysOptions): Promise<SigningKeys> {
  let keys = await readKeys(store, onFault);
  if (!keys.some(isInUse)) {
    if (readOnly)
      throw new SigningKeysError(
        'the storage is read-only and has no key to sign with; start once without storage.maintenance.readonly',
      );
    await createKey(store);
    keys = await readKeys(store, onFault);
  }
  let reloaded = Date.now();
  let reloading: Promise<void> | undefined;

  const reload = (): Promise<void> => {
    const unread = new Set<string>();
    reloading ??= readKeys(store, (error, kid) => {
      unread.add(kid);
      onFault(error);
    })
      .then((found) => {
        // What is there but cannot be read now is what it was; what is not there any more counts no longer.
        const all = [...found, ...keys.filter(({ kid }) => unread.has(kid))].sort(byAge);
        if (!all.some(isInUse)) throw new SigningKeysError('there is no key to sign with in the storage any more');
        keys = all;
      })
      .catch(onFault)
      .finally(() => {
        reloaded = Date.now();
        reloading = undefined;
      });
    return reloading;
  };
  const timer = setInterval(() => void reload(), refreshInterval);
  timer.unref();
  const known = (kid: string) => keys.find((key) => key.kid === kid && isValid(key));

  return {
    get current() {
      // In the order of their making.
      const valid = keys.filter(isValid);
      const settled = valid.filter(({ created }) => Date.now() - created.getTime() >= settleTime);
      const key = settled.findLast(isInUse) ?? settled.at(-1) ?? valid[0];
      if (key === undefined) throw new SigningKeysError('there is no key to sign with');
      return key;
    },
    get valid() {
      return keys.filter(isValid);
    },
    async find(kid) {
      const found = known(kid);
      if (found !== undefined) return found;
      if (reloading !== undefined || Date.now() - reloaded >= reloadPause) await reload();
      return known(kid);
    },
    trusts: (kid) => known(kid) !== undefined,
    close: () => clearInterval(timer),
  };
}

export class SigningKeysError extends Error {
  override readonly name = 'SigningKeysError';
  readonly code = 'SIGNING_KEYS_UNUSABLE';
}

function isInUse(key: SigningKey): boolean {
  return key.expires === undefined;
}

function isValid(key: SigningKey): boolean {
  return key.expires === undefined || key.expires.getTime() > Date.now();
}

/**
 * All that the storage has, in the order of their making.
 *
 * @param onDamaged told of what is no key and is left out
 */
export async function readKeys(
  store: SharedStore,
  onDamaged: (error: unknown, kid: string) => void,
): Promise<SigningKey[]> {
  const names = await store.list(folder);
  const keys = await Promise.all(names.map((name) => readKey(store, name, onDamaged)));
  return keys.filter((key) => key !== undefined).sort(byAge);
}

function byAge(a: SigningKey, b: SigningKey): number {
  return a.created.getTime() - b.created.getTime() || (a.kid < b.kid ? -1 : 1);
}

async function readKey(
  store: SharedStore,
  kid: string,
  onDamaged: (error: unknown, kid: string) => void,
): Promise<SigningKey | undefined> {
  try {
    const value = await store.get(`${folder}/${kid}`);
    return value && (await parseKey(kid, JSON.parse(value.toString('utf8'))));
  } catch (cause) {
    onDamaged(new SigningKeysError(`${folder}/${kid} in the storage cannot be read as a key`, { cause }), kid);
    return undefined;
  }
}

async function parseKey(kid: string, value: unknown): Promise<SigningKey> {
  const { jwk, created, expires } = storedKey.parse(value);
  const { d: _, ...open } = jwk;
  const [privateKey, publicKey] = await Promise.all([importJWK(jwk, algorithm), importJWK(open, algorithm)]);
  return {
    kid,
    created: new Date(created),
    expires: expires === undefined ? undefined : new Date(expires),
    privateKey: privateKey as CryptoKey,
    publicKey: publicKey as CryptoKey,
    jwk: { kty: open.kty, crv: open.crv, x: open.x, y: open.y, kid, alg: algorithm, use: 'sig' },
  };
}

async function createKey(store: SharedStore): Promise<string> {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = await exportJWK(privateKey);
  const kid = await calculateJwkThumbprint(jwk);
  await writeJson(store, `${folder}/${kid}`, { created: new Date().toISOString(), jwk });
  return kid;
}

/**
 * Makes a new key to sign with. Those before it are believed for the overlap, so that nobody has to log in again.
 *
 * @param overlap in milliseconds; 0: they are deleted, and with them every token and login that they have signed
 */
export async function rotateKeys(store: SharedStore, overlap: number): Promise<{ kid: string; before: SigningKey[] }> {
  const before = await readKeys(store, () => {});
  const kid = await createKey(store);
  const expires = new Date(Date.now() + overlap);
  for (const key of before) {
    const name = `${folder}/${key.kid}`;
    if (overlap === 0 || (key.expires !== undefined && key.expires.getTime() <= Date.now())) await store.delete(name);
    else if (key.expires === undefined || key.expires > expires) {
      const value = await readJson(store, name);
      if (value !== undefined)
        await writeJson(store, name, { ...storedKey.parse(value), expires: expires.toISOString() });
    }
  }
  return { kid, before };
}
