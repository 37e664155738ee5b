import { type Digest, tryParseDigest } from '../../oci/digest.ts';
import { type RepositoryName, tryParseRepositoryName } from '../../oci/name.ts';

/** That a repository has some content, and as what. */
export interface Link {
  readonly kind: 'blob' | 'manifest';
  readonly repository: RepositoryName;
}

/** What is known of content that came from an upstream. */
export interface Record {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** When it was last asked for, in milliseconds since 1970. */
  readonly used: number;
  /** The date that the storage gave it when a mirror stored it, in milliseconds since 1970; undefined: not known. */
  readonly stored: number | undefined;
  readonly links: readonly Link[];
}

/** One line for each: `["sha256:…",size,used,stored,"b <repository>","m <repository>",…]`, 0 for what is not known. */
export function encodeRecords(records: Iterable<Record>): Buffer {
  const lines: string[] = [];
  for (const { digest, size, used, stored = 0, links } of records) {
    const names = links.map(({ kind, repository }) => `${kind[0]} ${repository}`);
    lines.push(`${JSON.stringify([digest, size, used, stored, ...names])}\n`);
  }
  return Buffer.from(lines.join(''));
}

/** What can be read of it: a line that is broken, or of another version, says nothing. */
export function* decodeRecords(content: Buffer): Generator<Record> {
  for (const line of content.toString('utf8').split('\n')) {
    const record = decode(line);
    if (record !== undefined) yield record;
  }
}

function decode(line: string): Record | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!Array.isArray(fields)) return undefined;
  const [name, size, used, stored, ...names] = fields as unknown[];
  const digest = typeof name === 'string' ? tryParseDigest(name) : undefined;
  if (digest === undefined || !isCount(size) || !isCount(used) || !isCount(stored)) return undefined;
  return { digest, size, used, stored: stored === 0 ? undefined : stored, links: names.flatMap(decodeLink) };
}

function decodeLink(text: unknown): Link[] {
  const [, letter, name = ''] = /^([bm]) (.+)$/.exec(String(text)) ?? [];
  const repository = tryParseRepositoryName(name);
  return repository === undefined ? [] : [{ kind: letter === 'b' ? 'blob' : 'manifest', repository }];
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
