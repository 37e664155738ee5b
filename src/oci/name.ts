import { RegistryError } from './errors.ts';

/** A repository name that satisfies the grammar of the distribution specification ("Pulling manifests"), e.g. `user/app`. */
export type RepositoryName = string & { readonly __repositoryName: true };

/** A tag that satisfies the grammar of the distribution specification, e.g. `latest`. */
export type Tag = string & { readonly __tag: true };

/** Distribution refuses longer names, and clients limit `host/name` to this. In characters. */
const maxNameLength = 255;

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const nameGrammar = new RegExp(`^${component}(?:/${component})*$`);
const tagGrammar = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

export function tryParseRepositoryName(text: string): RepositoryName | undefined {
  return text.length <= maxNameLength && nameGrammar.test(text) ? (text as RepositoryName) : undefined;
}

/** @throws RegistryError NAME_INVALID */
export function parseRepositoryName(text: string): RepositoryName {
  const name = tryParseRepositoryName(text);
  if (name !== undefined) return name;
  const message =
    text.length > maxNameLength
      ? `repository name must not be longer than ${maxNameLength} characters`
      : 'repository name must be lower-case letters and digits, separated by one of . _ __ - and divided by /';
  throw new RegistryError('NAME_INVALID', { message, detail: { name: text.slice(0, 300) } });
}

export function tryParseTag(text: string): Tag | undefined {
  return tagGrammar.test(text) ? (text as Tag) : undefined;
}

/** @throws RegistryError TAG_INVALID */
export function parseTag(text: string): Tag {
  const tag = tryParseTag(text);
  if (tag !== undefined) return tag;
  throw new RegistryError('TAG_INVALID', {
    message: 'tag must be 1 to 128 letters, digits, . _ - and must not start with . or -',
    detail: { tag: text.slice(0, 300) },
  });
}
