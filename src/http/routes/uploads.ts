import { type Digest, parseDigest, parseDigestAlgorithm, tryParseDigest } from '../../oci/digest.ts';
import { isRegistryError, RegistryError } from '../../oci/errors.ts';
import { type RepositoryName, tryParseRepositoryName } from '../../oci/name.ts';
import { parseChunkRange } from '../../oci/range.ts';
import type { Body, Upload } from '../../registry/registry.ts';
import type { Reply } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import type { Call, Handler, TargetOf } from './services.ts';

export const startUpload: Handler<'uploads'> = async (call) => {
  const { request } = call;
  const { name, uploads } = call.repository;
  const algorithm = request.parameter('digest-algorithm');
  const hint = algorithm === undefined ? undefined : parseDigestAlgorithm(algorithm);

  const mounted = await mount(call);
  if (mounted !== undefined) return created(request, name, mounted);

  if (!request.query.has('digest')) return accepted(request, name, await uploads.create(hint), 0);
  const digest = digestOf(request);
  await uploads.put(digest, request.body);
  return created(request, name, digest);
};

export const getUpload: Handler<'upload'> = async (call) => {
  const upload = find(call);
  return { status: 204, headers: progress(call.request, call.repository.name, upload, await upload.size()) };
};

export const patchUpload: Handler<'upload'> = (call) =>
  inOrder(call, async (upload, body, start) => {
    const size = await upload.append(body, start);
    return accepted(call.request, call.repository.name, upload, size);
  });

export const putUpload: Handler<'upload'> = async (call) => {
  const digest = digestOf(call.request);
  return inOrder(call, async (upload, body, start) => {
    await upload.commit(digest, body, start);
    return created(call.request, call.repository.name, digest);
  });
};

export const cancelUpload: Handler<'upload'> = async (call) => {
  const upload = find(call);
  await upload.cancel();
  return { status: 204, headers: { 'Docker-Upload-UUID': upload.id } };
};

function find(call: Call<TargetOf<'upload'>>): Upload {
  return call.repository.uploads.find(call.target.id);
}

/** Every mount that cannot be done becomes an ordinary upload; docker gives up on any other answer. */
async function mount(call: Call<TargetOf<'uploads'>>): Promise<Digest | undefined> {
  const { request, caller } = call;
  const wanted = single(request, 'mount');
  const digest = wanted === undefined ? undefined : tryParseDigest(wanted);
  if (digest === undefined) return undefined;
  const from = request.parameter('from');
  const source = from === undefined ? undefined : tryParseRepositoryName(from);
  if (from !== undefined && source === undefined) return undefined;
  const readable = (name: RepositoryName) => caller.allows({ type: 'repository', name, actions: ['pull'] });
  return (await call.repository.blobs.mount(digest, source, readable))?.digest;
}

/** Runs a request with a body on an upload; a chunk that does not fit is answered with where the upload stands. */
async function inOrder(
  call: Call<TargetOf<'upload'>>,
  run: (upload: Upload, body: Body, start: number | undefined) => Promise<Reply>,
): Promise<Reply> {
  const { request } = call;
  const upload = find(call);
  try {
    const header = request.header('content-range');
    if (header === undefined) return await run(upload, request.body, undefined);
    const chunk = parseChunkRange(header);
    if (chunk === undefined) {
      throw new RegistryError('UPLOAD_OUT_OF_ORDER', { message: 'Content-Range must be start-end, both inclusive' });
    }
    const length = chunk.end - chunk.start + 1;
    if (request.body.length !== undefined && request.body.length !== length) {
      throw new RegistryError('SIZE_INVALID', { detail: { contentRange: header, contentLength: request.body.length } });
    }
    const body = request.body.length === undefined ? exactly(request.body, length) : request.body;
    return await run(upload, body, chunk.start);
  } catch (error) {
    if (!isRegistryError(error, 'UPLOAD_OUT_OF_ORDER')) throw error;
    const headers = progress(request, call.repository.name, upload, await upload.size());
    throw new RegistryError(error.code, { detail: error.detail, headers, cause: error, ...message(error) });
  }
}

function message(error: RegistryError) {
  return error.explained ? { message: error.message } : {};
}

/** A body without `Content-Length` must still have as many bytes as its `Content-Range` says. */
async function* exactly(body: Body, length: number): AsyncGenerator<Uint8Array> {
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    if (received > length)
      throw new RegistryError('SIZE_INVALID', { message: 'the body is longer than Content-Range' });
    yield chunk;
  }
  if (received < length) throw new RegistryError('SIZE_INVALID', { message: 'the body is shorter than Content-Range' });
}

function digestOf(request: ApiRequest): Digest {
  return parseDigest(single(request, 'digest') ?? '');
}

/** A parameter that must not be given twice, as it would be unclear which one is meant. */
function single(request: ApiRequest, name: 'digest' | 'mount'): string | undefined {
  const values = request.query.getAll(name);
  if (values.length > 1) throw new RegistryError('DIGEST_INVALID', { message: `${name} is given more than once` });
  return values[0];
}

function progress(request: ApiRequest, name: string, upload: Upload, size: number): Record<string, string> {
  return {
    Location: request.location(`/v2/${name}/blobs/uploads/${upload.id}`),
    // Clients parse two numbers; an empty upload reads like one with a single byte.
    Range: `0-${Math.max(0, size - 1)}`,
    'Docker-Upload-UUID': upload.id,
  };
}

function accepted(request: ApiRequest, name: string, upload: Upload, size: number): Reply {
  return { status: 202, headers: progress(request, name, upload, size) };
}

function created(request: ApiRequest, name: string, digest: Digest): Reply {
  const headers = { Location: request.location(`/v2/${name}/blobs/${digest}`), 'Docker-Content-Digest': digest };
  return { status: 201, headers };
}
