import type { IssuedToken, TokenRequest, TokenService } from '../../auth/builtin/service.ts';
import { parseAuthorization } from '../../auth/credentials.ts';
import { parseScopes } from '../../auth/scope.ts';
import { isRegistryError, RegistryError } from '../../oci/errors.ts';
import { json, type Reply, type RequestBody } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import { wholeBody } from '../whole-body.ts';

/** A form with an ID token and a hundred scopes has some thousand bytes. */
const maxForm = 64 * 1024;

/** What a login asks for where it fails: without it, clients would not know that credentials can help. */
const challenge = { 'WWW-Authenticate': 'Basic realm="berth"' };

const uncached = { 'Cache-Control': 'no-store' };

/** `GET` with Basic or nothing, as distribution's token specification has it, and `POST` as its OAuth2 variant has it. */
export function createTokenEndpoint(service: TokenService): (request: ApiRequest) => Promise<Reply> {
  return async (request) => {
    try {
      if (request.method === 'POST') return await answerPost(service, request);
      if (request.method === 'GET' || request.method === 'HEAD') return await answerGet(service, request);
    } catch (error) {
      if (!isRegistryError(error, 'UNAUTHORIZED')) throw error;
      throw new RegistryError('UNAUTHORIZED', { message: error.message, headers: { ...challenge, ...uncached } });
    }
    throw new RegistryError('UNSUPPORTED', { headers: { Allow: 'GET, HEAD, POST' } });
  };
}

async function answerGet(service: TokenService, request: ApiRequest): Promise<Reply> {
  const credentials = parseAuthorization(request.authorization);
  if (credentials?.scheme === 'bearer') {
    throw new RegistryError('UNAUTHORIZED', { message: 'a token is asked for with user and password' });
  }
  const issued = await issue(service, request, {
    credentials,
    access: parseScopes(request.query.getAll('scope')),
    offline: request.parameter('offline_token') === 'true',
  });
  return json(200, answerOf(issued), uncached);
}

async function answerPost(service: TokenService, request: ApiRequest): Promise<Reply> {
  const form = await readForm(request.body, request.header('content-type'));
  const credentials = credentialsOf(form);
  const login = 'refreshToken' in credentials ? credentials.refreshToken : undefined;
  const issued = await issue(service, request, {
    credentials,
    access: parseScopes(form.getAll('scope')),
    offline: form.get('access_type') === 'offline' && login === undefined,
  });
  // The same one: clients that keep it would otherwise hold a growing number.
  const kept = login === undefined ? {} : { refresh_token: login };
  return json(200, { ...answerOf(issued), scope: issued.scope, ...kept }, uncached);
}

type Asked = Omit<TokenRequest, 'remoteAddress' | 'certificate'>;

function issue(service: TokenService, { remoteAddress, certificate }: ApiRequest, asked: Asked) {
  return service.issue({ ...asked, remoteAddress, certificate });
}

/** @throws RegistryError; a form without a valid grant is never taken for an anonymous one */
function credentialsOf(form: URLSearchParams): NonNullable<TokenRequest['credentials']> {
  const grant = form.get('grant_type');
  if (grant === 'password') return { user: form.get('username') ?? '', password: form.get('password') ?? '' };
  if (grant === 'refresh_token') return { refreshToken: form.get('refresh_token') ?? '' };
  const message = 'grant_type must be password or refresh_token';
  throw new RegistryError('TOKEN_REQUEST_INVALID', { message });
}

function answerOf({ token, expiresIn, issuedAt, refreshToken }: IssuedToken) {
  return {
    token,
    access_token: token,
    expires_in: expiresIn,
    issued_at: issuedAt.toISOString().replace(/\.\d+/, ''),
    ...(refreshToken !== undefined && { refresh_token: refreshToken }),
  };
}

async function readForm(body: RequestBody, contentType = ''): Promise<URLSearchParams> {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(contentType)) {
    throw new RegistryError('TOKEN_REQUEST_INVALID', { message: 'the body must be application/x-www-form-urlencoded' });
  }
  const tooLong = () => new RegistryError('TOKEN_REQUEST_INVALID', { message: 'the form is longer than 64 KiB' });
  return new URLSearchParams((await wholeBody(body, maxForm, tooLong)).toString('utf8'));
}
