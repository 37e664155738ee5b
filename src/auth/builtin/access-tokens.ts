import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Action } from '../access.ts';
import { type Grant, grant, type Identity } from '../identity.ts';
import { type SharedStore, writeJson } from '../store.ts';

/** Letters and digits only, so that no shell and no URL needs quotes. The front tells scanners for secrets what it is. */
export const accessTokenFront = 'berth_';
const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const idLength = 12;
const secretLength = 43;

const folder = 'tokens';
const usesFolder = 'token-uses';

/** How long a token that was looked up need not be looked up again, in milliseconds: the time a revocation takes. */
const knownFor = 10_000;

/** How exact the last use is recorded, in milliseconds. */
const useGrain = 3_600_000;

const record = z.object({
  name: z.string(),
  /** SHA-256 of the secret, hex. A secret of 256 bits needs no slow hash. */
  hash: z.string(),
  created: z.iso.datetime(),
  expires: z.iso.datetime().optional(),
  user: z.string().optional(),
  grants: z.array(grant),
});

/** What is known of an access token; the token itself is known to its owner alone. */
export interface AccessToken {
  readonly id: string;
  /** Of the robot, or what it is for; unique. */
  readonly name: string;
  readonly created: Date;
  readonly expires: Date | undefined;
  /** For whom it acts, within the grants. Undefined: for nobody, it is a robot with just these grants. */
  readonly user: string | undefined;
  readonly grants: readonly Grant[];
  readonly lastUsed: Date | undefined;
}

export interface NewAccessToken {
  readonly name: string;
  readonly user?: string | undefined;
  readonly repositories: readonly string[];
  readonly actions: readonly Action[];
  readonly expires?: Date | undefined;
}

/** Whose a token is, and until when; undefined: until it is revoked. */
export interface Identified {
  readonly identity: Identity;
  readonly expires: Date | undefined;
}

/** The name is taken, or is none. */
export class TokenNameError extends Error {
  override readonly name = 'TokenNameError';
  readonly code = 'TOKEN_NAME_INVALID';
}

export function isAccessToken(password: string): boolean {
  return password.startsWith(accessTokenFront);
}

export class AccessTokens {
  readonly #store: SharedStore;
  readonly #readOnly: boolean;
  readonly #known = new LRUCache<string, z.output<typeof record>>({ max: 1_000, ttl: knownFor });
  readonly #used = new LRUCache<string, true>({ max: 10_000, ttl: useGrain });

  /** @param readOnly whether uses are not recorded */
  constructor(store: SharedStore, { readOnly }: { readonly readOnly: boolean }) {
    this.#store = store;
    this.#readOnly = readOnly;
  }

  /** @returns the token, which cannot be shown again @throws TokenNameError */
  async create({ name, user, repositories, actions, expires }: NewAccessToken): Promise<{ id: string; token: string }> {
    if (!/^[a-z0-9]+(?:[._-][a-z0-9]+)*$/.test(name) || name.length > 100) {
      throw new TokenNameError('the name of a token must be lower-case letters and digits, divided by one of . _ -');
    }
    for await (const token of this.list(() => {}))
      if (token.name === name) throw new TokenNameError(`there is a token ${name} already`);
    const [id, secret] = [randomText(idLength), randomText(secretLength)];
    const content: z.input<typeof record> = {
      name,
      hash: hashOf(secret),
      created: new Date().toISOString(),
      ...(expires !== undefined && { expires: expires.toISOString() }),
      ...(user !== undefined && { user }),
      grants: [{ repositories: [...repositories], actions: [...actions] }],
    };
    await writeJson(this.#store, `${folder}/${id}`, content);
    return { id, token: `${accessTokenFront}${id}${secret}` };
  }

  /** Whose it is; undefined when it is none, is expired or was revoked. */
  async identify(token: string): Promise<Identified | undefined> {
    if (token.length !== accessTokenFront.length + idLength + secretLength || !/^berth_[0-9A-Za-z]+$/.test(token))
      return undefined;
    const id = AccessTokens.idOf(token);
    const content = await this.#read(id);
    const hash = hashOf(token.slice(accessTokenFront.length + idLength));
    if (
      content === undefined ||
      !timingSafeEqual(Buffer.from(hash), Buffer.from(content.hash.padEnd(64).slice(0, 64)))
    ) {
      return undefined;
    }
    return this.#use(id, content);
  }

  /** Whose it is, for who has proved it before; undefined when it is expired or was revoked. */
  async resume(id: string): Promise<Identified | undefined> {
    const content = await this.#read(id);
    return content && this.#use(id, content);
  }

  /** The id in a token. */
  static idOf(token: string): string {
    return token.slice(accessTokenFront.length, accessTokenFront.length + idLength);
  }

  /** @param onDamaged told of what is no token and is left out */
  async *list(onDamaged: (error: Error) => void): AsyncGenerator<AccessToken> {
    for (const id of await this.#store.list(folder)) {
      const content = await this.#read(id).catch((error) => {
        onDamaged(error);
        return undefined;
      });
      if (content === undefined) continue;
      const { name, created, expires, user, grants } = content;
      const use = await this.#store.get(`${usesFolder}/${id}`);
      yield {
        id,
        name,
        created: new Date(created),
        expires: expires === undefined ? undefined : new Date(expires),
        user,
        grants,
        lastUsed: use && new Date(use.toString()),
      };
    }
  }

  /** @returns whether it was there */
  async revoke(id: string): Promise<boolean> {
    this.#known.delete(id);
    const found = await this.#store.delete(`${folder}/${id}`);
    await this.#store.delete(`${usesFolder}/${id}`);
    return found;
  }

  async #read(id: string): Promise<z.output<typeof record> | undefined> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const value = await this.#store.get(`${folder}/${id}`);
    if (value === undefined) return undefined;
    try {
      const content = record.parse(JSON.parse(value.toString('utf8')));
      this.#known.set(id, content);
      return content;
    } catch (cause) {
      throw new Error(`${folder}/${id} in the storage is not an access token`, { cause });
    }
  }

  #use(id: string, content: z.output<typeof record>): Identified | undefined {
    const { name, user, grants } = content;
    const expires = content.expires === undefined ? undefined : new Date(content.expires);
    if (expires !== undefined && expires.getTime() <= Date.now()) return undefined;
    this.#recordUse(id);
    const identity: Identity =
      user === undefined ? { kind: 'token', name, grants } : { kind: 'user', name: user, limits: grants };
    return { identity, expires };
  }

  /** Nobody waits for it, and nobody is refused when it fails. */
  #recordUse(id: string): void {
    if (this.#used.has(id)) return;
    this.#used.set(id, true);
    if (this.#readOnly) return;
    this.#store.put(`${usesFolder}/${id}`, Buffer.from(new Date().toISOString())).catch(() => this.#used.delete(id));
  }
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Each letter has 5.95 bits; bytes that would prefer some letters are thrown away. */
function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(2 * length)) {
      if (byte < 4 * letters.length && text.length < length) text += letters[byte % letters.length];
    }
  }
  return text;
}
