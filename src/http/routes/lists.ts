import type { Descriptor } from '../../oci/descriptor.ts';
import { parseDigest } from '../../oci/digest.ts';
import { mediaTypes } from '../../oci/media-type.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { json } from '../reply.ts';
import { jsonList, nextLink, pageSize, takePage } from './pages.ts';
import type { Call, Handler } from './services.ts';
import { warningHeader } from './warning.ts';

/** Entries of a catalogue page when the client does not say, as distribution has it. */
const defaultRepositories = 100;

/** Clients read an index of this many bytes at most; a list of referrers that is longer is split. */
const maxIndexSize = 4 * 1024 * 1024;

export const listTags: Handler<'tags'> = async (call) => {
  const { request, pages } = call;
  const { name, tags } = call.repository;
  const last = request.parameter('last');
  const size = pageSize(request, pages.tags);
  const warnings: string[] = [];
  const source = tags.list({
    ...(last !== undefined && { after: last }),
    ...(size !== undefined && { limit: size + 1 }),
    signal: request.signal,
    onWarning: (warning) => void warnings.push(warning),
  });
  if (size === undefined) {
    const all = await jsonList(`{"name":${JSON.stringify(name)},"tags":[`, source, ']}');
    return { ...all, headers: { ...all.headers, ...warningHeader(warnings[0]) } };
  }

  const { items, more } = await takePage(source, size);
  const end = more ? items.at(-1) : undefined;
  const link =
    end &&
    nextLink(request, `/v2/${name}/tags/list`, [
      ['n', String(size)],
      ['last', end],
    ]);
  return json(200, { name, tags: items }, { ...link, ...warningHeader(warnings[0]) });
};

export const listRepositories: Handler<'catalog'> = async (call) => {
  const { request, pages } = call;
  const last = request.parameter('last');
  const size = pageSize(request, pages.repositories) ?? Math.min(defaultRepositories, pages.repositories);
  const { items, more } = await takePage(readable(call, last), size);
  const end = more ? items.at(-1) : undefined;
  const headers =
    end &&
    nextLink(request, '/v2/_catalog', [
      ['n', String(size)],
      ['last', end],
    ]);
  return json(200, { repositories: items }, headers);
};

/** The repositories that the caller may pull from. */
export async function* readable(
  { registry, caller, request }: Pick<Call, 'registry' | 'caller' | 'request'>,
  after?: string,
): AsyncGenerator<RepositoryName> {
  for await (const name of registry.repositories({ ...(after !== undefined && { after }), signal: request.signal })) {
    if (caller.sees(name)) yield name;
  }
}

export const listReferrers: Handler<'referrers'> = async (call) => {
  const { request, target } = call;
  const { name, referrers } = call.repository;
  const subject = parseDigest(target.digest);
  // The plus of `+json` often comes unescaped and then reads as a space, which no media type has.
  const types = request.query.getAll('artifactType').map((type) => type.replaceAll(' ', '+'));
  const last = request.parameter('last');
  const size = pageSize(request, Number.MAX_SAFE_INTEGER) ?? Number.MAX_SAFE_INTEGER;

  const warnings: string[] = [];
  const page = {
    ...(last !== undefined && { after: last }),
    signal: request.signal,
    onWarning: (warning: string) => void warnings.push(warning),
  };

  const manifests: Descriptor[] = [];
  let bytes = 0;
  let more = false;
  for await (const descriptor of referrers.list(subject, types, page)) {
    bytes += Buffer.byteLength(JSON.stringify(descriptor)) + 1;
    more = manifests.length >= size || (bytes > maxIndexSize - 200 && manifests.length > 0);
    if (more) break;
    manifests.push(descriptor);
  }
  const end = more ? manifests.at(-1)?.digest : undefined;
  const filter = types.map((type): [string, string] => ['artifactType', type]);
  const count: [string, string][] = size === Number.MAX_SAFE_INTEGER ? [] : [['n', String(size)]];
  return json(
    200,
    { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests },
    {
      'Content-Type': mediaTypes.ociIndex,
      ...warningHeader(warnings[0]),
      ...(types.length > 0 && { 'OCI-Filters-Applied': 'artifactType' }),
      ...(end && nextLink(request, `/v2/${name}/referrers/${subject}`, [...count, ['last', end], ...filter])),
    },
  );
};
