/** One challenge of a `WWW-Authenticate` header. */
export interface Challenge {
  /** In small letters. */
  readonly scheme: string;
  /** By their names in small letters. */
  readonly parameters: Readonly<Record<string, string>>;
}

const token = "[!#$%&'*+.^_`|~A-Za-z0-9-]+";
const part = new RegExp(`[\\s,]*(?:(${token})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"?|([^\\s,"]*))|(${token}))`, 'y');

/**
 * Reads `WWW-Authenticate` (RFC 9110, 11.6.1): one challenge or several, from one line or from several that were joined by
 * commas. Takes what registries send though it is not quite right: values without quotes, spaces around `=`, a last
 * quote that is missing. Reads up to what it cannot understand.
 */
export function parseChallenges(header: string | undefined): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  if (header === undefined) return challenges;
  part.lastIndex = 0;
  for (let match = part.exec(header); match !== null; match = part.exec(header)) {
    const [, name, quoted, bare = '', scheme] = match;
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
    const parameters = challenges.at(-1)?.parameters;
    const key = name?.toLowerCase();
    // Scopes hold commas and spaces; they are told from separators by their quotes alone.
    if (key !== undefined && parameters !== undefined && !Object.hasOwn(parameters, key)) {
      parameters[key] = quoted?.replaceAll(/\\(.)/g, '$1') ?? bare;
    }
  }
  return challenges;
}
