import { ForeignAnswerError } from './errors.ts';

export interface ListedObject {
  readonly key: string;
  /** In bytes. */
  readonly size: number;
  /** In quotation marks. */
  readonly etag: string;
  readonly modified: Date | undefined;
}

/** One answer to ListObjectsV2, at most 1,000 objects and prefixes. */
export interface ListAnswer {
  readonly objects: readonly ListedObject[];
  /** What the keys that go on behind the delimiter have in common, with the delimiter at its end. */
  readonly prefixes: readonly string[];
  /** Leads to the next page; undefined on the last one. */
  readonly next: string | undefined;
}

/** An opening or closing tag, and the text behind it. */
const tags = /<(\/?)([A-Za-z0-9]+)(?:\s[^<>]*)?>([^<]*)/g;

/**
 * Reads the XML of an answer. The elements that matter have text and nothing else: a general parser, which builds all of
 * them as objects, takes several times as long.
 *
 * @throws ForeignAnswerError when it is something else
 */
export function parseListAnswer(xml: string): ListAnswer {
  const objects: ListedObject[] = [];
  const prefixes: string[] = [];
  let inside: 'Contents' | 'CommonPrefixes' | undefined;
  let object: { -readonly [Key in keyof ListedObject]?: ListedObject[Key] } = {};
  let truncated: boolean | undefined;
  let next: string | undefined;
  let closed = false;
  for (const [, slash, name, text = ''] of xml.matchAll(tags)) {
    if (name === 'ListBucketResult') closed = slash !== '';
    else if (slash !== '') {
      if (name !== inside) continue;
      if (name === 'Contents') {
        const { key, size, etag = '', modified } = object;
        if (key === undefined || size === undefined) throw new ForeignAnswerError('a list has an object without a key');
        objects.push({ key, size, etag, modified });
      }
      inside = undefined;
    } else if (name === 'Contents' || name === 'CommonPrefixes') {
      inside = name;
      object = {};
    } else if (inside === 'Contents') {
      if (name === 'Key') object.key = plain(text);
      else if (name === 'Size') object.size = Number(text);
      else if (name === 'ETag') object.etag = plain(text);
      else if (name === 'LastModified') object.modified = new Date(text);
    } else if (inside === 'CommonPrefixes') {
      if (name === 'Prefix') prefixes.push(plain(text));
    } else if (name === 'IsTruncated') truncated = text.trim() === 'true';
    else if (name === 'NextContinuationToken') next = plain(text);
  }
  if (!closed || truncated === undefined)
    throw new ForeignAnswerError('a list without an end is not the answer of an S3 server');
  if (truncated && next === undefined) throw new ForeignAnswerError('a list goes on, but does not say where');
  return { objects, prefixes, next: truncated ? next : undefined };
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** With the characters that stand for themselves in XML only as entities. */
function plain(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|([a-z]{2,4}));/g, (entity, decimal, hexadecimal, name) => {
    if (name !== undefined) return entities[name] ?? entity;
    const code = decimal === undefined ? Number.parseInt(hexadecimal, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : entity;
  });
}
