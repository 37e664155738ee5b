import { RegistryError } from '../oci/errors.ts';

export interface BasicCredentials {
  readonly user: string;
  readonly password: string;
}

export type Credentials =
  | ({ readonly scheme: 'basic' } & BasicCredentials)
  | { readonly scheme: 'bearer'; readonly token: string };

/** A header that is longer is refused unread; a token of some hundred scopes has a few thousand characters. */
const maxLength = 32 * 1024;

/**
 * Reads an `Authorization` header. Basic without user and password, as containers/image sends it when it has none, counts
 * as no credentials.
 *
 * @returns undefined when there are none
 * @throws RegistryError UNAUTHORIZED when it is neither Basic nor Bearer, or broken; without a challenge
 */
export function parseAuthorization(header: string | undefined): Credentials | undefined {
  if (header === undefined || header.trim() === '') return undefined;
  const [, scheme = '', value = ''] = /^\s*([A-Za-z]+)\s+(\S+)\s*$/.exec(header.slice(0, maxLength + 1)) ?? [];
  if (header.length <= maxLength && /^bearer$/i.test(scheme)) return { scheme: 'bearer', token: value };
  if (header.length <= maxLength && /^basic$/i.test(scheme)) {
    const text = Buffer.from(value, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon >= 0) {
      const [user, password] = [text.slice(0, colon), text.slice(colon + 1)];
      return user === '' && password === '' ? undefined : { scheme: 'basic', user, password };
    }
  }
  throw new RegistryError('UNAUTHORIZED', { message: 'the Authorization header is neither Basic nor Bearer' });
}
