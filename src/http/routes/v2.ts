import type { Access, AccessController, Action } from '../../auth/access.ts';
import { isRegistryError, RegistryError } from '../../oci/errors.ts';
import { parseRepositoryName, type RepositoryName, tryParseRepositoryName } from '../../oci/name.ts';
import type { HandlerName } from '../metrics.ts';
import { json, type Reply } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import { parseTarget, type Target } from '../target.ts';
import { deleteBlob, getBlob, headBlob } from './blobs.ts';
import { listReferrers, listRepositories, listTags } from './lists.ts';
import { deleteManifest, getManifest, putManifest } from './manifests.ts';
import type { Handler, Services, Visit } from './services.ts';
import { cancelUpload, getUpload, patchUpload, putUpload, startUpload } from './uploads.ts';

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

const base: Handler<'base'> = async () => json(200, {});

/** Every endpoint of the distribution API: what is not here does not exist. */
const routes: { [Kind in Target['kind']]: Partial<Record<Method, Handler<Kind>>> } = {
  base: { GET: base, HEAD: base },
  catalog: { GET: listRepositories, HEAD: listRepositories },
  manifest: { GET: getManifest, HEAD: getManifest, PUT: putManifest, DELETE: deleteManifest },
  blob: { GET: getBlob, HEAD: headBlob, DELETE: deleteBlob },
  uploads: { POST: startUpload },
  upload: { GET: getUpload, HEAD: getUpload, PATCH: patchUpload, PUT: putUpload, DELETE: cancelUpload },
  tags: { GET: listTags, HEAD: listTags },
  referrers: { GET: listReferrers, HEAD: listReferrers },
};

const read: readonly Action[] = ['pull'];
const write: readonly Action[] = ['pull', 'push'];
const remove: readonly Action[] = ['delete'];

/** What a request must be allowed to do. Cancelling one's own upload is part of pushing. */
function accessOf(target: Target, name: RepositoryName | undefined, method: string): Access[] {
  if (target.kind === 'catalog') return [{ type: 'registry', name: 'catalog', actions: ['*'] }];
  if (name === undefined) return [];
  const reads = method === 'GET' || method === 'HEAD';
  const deletes = method === 'DELETE' && target.kind !== 'upload';
  return [{ type: 'repository', name, actions: deletes ? remove : reads && target.kind !== 'upload' ? read : write }];
}

/** A client that asks for just what it needs would push what it could mount. */
function helpfulFor(target: Target, request: ApiRequest): Access[] {
  if (target.kind !== 'uploads' || request.parameter('mount') === undefined) return [];
  const name = tryParseRepositoryName(request.parameter('from') ?? '');
  return name === undefined ? [] : [{ type: 'repository', name, actions: read }];
}

export interface V2Options extends Services {
  readonly access: AccessController;
}

/** RFC 9110, 15.5.6: whoever is refused a method is told which ones there are. */
function refused(methods: object, method: string, error?: RegistryError): RegistryError {
  const allow = Object.keys(methods).filter((candidate) => candidate !== method);
  return new RegistryError('UNSUPPORTED', {
    message: error?.message ?? `${method.slice(0, 20)} is not possible here`,
    headers: { Allow: allow.join(', ') },
    cause: error,
  });
}

const handlerNames: Readonly<Record<Target['kind'], HandlerName>> = {
  base: 'base',
  catalog: 'catalog',
  manifest: 'manifest',
  blob: 'blob',
  uploads: 'blob_upload',
  upload: 'blob_upload_chunk',
  tags: 'tags',
  referrers: 'referrers',
};

/** Under what a request below `/v2` is counted. */
export function handlerOf(request: ApiRequest): HandlerName {
  const target = targetOf(request);
  return target === undefined ? 'other' : handlerNames[target.kind];
}

function targetOf({ path }: ApiRequest): Target | undefined {
  return parseTarget(path.slice('/v2'.length));
}

/** A host, with a port where it needs one. What else clients send no registry is called, and it does not belong in a header. */
const namespaceGrammar = /^[a-z0-9](?:[a-z0-9.-]{0,253}[a-z0-9])?(?::\d{1,5})?$/i;

function visitOf(request: ApiRequest): Visit {
  const { id, origin, method, user, remoteAddress: addr } = request;
  return {
    id,
    addr,
    // As it was said: a name such as 1.2.3.256 is the host of no URL that can be parsed.
    host: origin.split('/', 3)[2] ?? '',
    method,
    useragent: request.header('user-agent') ?? '',
    user,
    base: origin + request.link('/v2/'),
  };
}

/** Everything below `/v2`: tells what is asked for, asks whether it is allowed, and only then looks. */
export function createV2({ access, watch, ...services }: V2Options): (request: ApiRequest) => Promise<Reply> {
  return async (request) => {
    const target = targetOf(request);
    if (target === undefined) throw new RegistryError('NOT_FOUND');
    const methods: Partial<Record<string, (call: never) => Promise<Reply>>> = routes[target.kind];
    const handler = Object.hasOwn(methods, request.method) ? methods[request.method] : undefined;
    if (handler === undefined) throw refused(methods, request.method);
    const name = 'name' in target ? parseRepositoryName(target.name) : undefined;
    // By the namespace it may be another one than the path says; that one is what must be allowed.
    const namespace = request.parameter('ns');
    const repository = name && services.registry.repository(name, namespace);
    const needed = accessOf(target, repository?.name, request.method);
    const caller = await access.authorize(request, needed, helpfulFor(target, request));
    request.user = caller.subject;
    const watched = repository && watch?.(repository);
    try {
      const within = watched?.repository ?? repository;
      const reply = await handler({ ...services, request, target, repository: within, caller } as never);
      // What a client has already it does not pull.
      if (reply.status !== 304) watched?.succeeded(visitOf(request));
      if (namespace === undefined || repository === undefined || repository.name === name) return reply;
      if (!namespaceGrammar.test(namespace)) return reply;
      return { ...reply, headers: { ...reply.headers, 'OCI-Namespace': namespace } };
    } catch (error) {
      throw isRegistryError(error, 'UNSUPPORTED') ? refused(methods, request.method, error) : error;
    }
  };
}
