/** A file of `user:hash` lines, as Apache's `htpasswd -B` writes it. */
export interface Htpasswd {
  /** User to bcrypt hash. */
  readonly hashes: ReadonlyMap<string, string>;
  /** What is wrong with lines that were left out, without their hashes. */
  readonly warnings: readonly string[];
}

export class HtpasswdError extends Error {
  override readonly name = 'HtpasswdError';
  readonly code = 'HTPASSWD_INVALID';
}

/** `$2y$<cost>$` and 53 characters: salt and hash. The letters a, b and y mean the same to who verifies. */
const bcryptGrammar = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

/**
 * Entries that are not bcrypt are left out with a warning, as distribution does; their users cannot log in.
 *
 * @throws HtpasswdError when a line is no entry at all
 */
export function parseHtpasswd(text: string): Htpasswd {
  const hashes = new Map<string, string>();
  const warnings: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const entry = line.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const colon = entry.indexOf(':');
    if (colon <= 0) throw new HtpasswdError(`line ${index + 1} is not user:hash`);
    const [user, hash] = [entry.slice(0, colon), entry.slice(colon + 1)];
    if (costOf(hash) === undefined) {
      warnings.push(
        `line ${index + 1}: the password of ${user} is not hashed with bcrypt, so nobody can log in with it`,
      );
    } else if (hashes.has(user)) warnings.push(`line ${index + 1}: ${user} is there already; the first entry counts`);
    else hashes.set(user, hash);
  }
  return { hashes, warnings };
}

/** The work that a hash takes, as a power of two; undefined when it is not bcrypt. */
export function costOf(hash: string): number | undefined {
  const cost = Number(bcryptGrammar.exec(hash)?.[1] ?? Number.NaN);
  return cost >= 4 && cost <= 31 ? cost : undefined;
}

/** The text with a user's entry replaced or added; everything else stays as it is. */
export function withUser(text: string, user: string, hash: string): string {
  const rest = withoutUser(text, user).text;
  return `${rest}${rest === '' || rest.endsWith('\n') ? '' : '\n'}${user}:${hash}\n`;
}

export function withoutUser(text: string, user: string): { text: string; found: boolean } {
  const lines = text.split('\n');
  const left = lines.filter((line) => !line.trim().startsWith(`${user}:`));
  return { text: left.join('\n'), found: left.length < lines.length };
}
