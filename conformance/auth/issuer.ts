import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';

/** An OpenID Connect provider, as CI systems have one: it gives each job a token that says what the job is. */
export interface Issuer {
  readonly url: string;
  /** Requests for its metadata and its keys so far. */
  readonly asked: () => { metadata: number; keys: number };
  /** A token about the subject, with these claims, for the audience. */
  token(audience: Audience, subject: string, claims?: object): Promise<string>;
  /** From now on it signs with another key, and does not know the one before any more. */
  rotate(): void;
  /** It does not answer any more. */
  stop(): Promise<void>;
}

const audiences = ['https://registry.example', 'https://another.example'] as const;
export type Audience = (typeof audiences)[number];

const grant = 'urn:ci:job';

export async function startIssuer(): Promise<Issuer> {
  let answer: ReturnType<Provider['callback']> | undefined;
  const asked = { metadata: 0, keys: 0 };
  const server: Server = createServer((request, response) => {
    if (request.url?.startsWith('/.well-known/')) asked.metadata += 1;
    if (request.url?.startsWith('/jwks')) asked.keys += 1;
    answer?.(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const rotate = () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const jwk = { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(8).toString('hex'), use: 'sig' };
    answer = createProvider(url, jwk).callback();
  };
  rotate();

  return {
    url,
    asked: () => ({ ...asked }),
    rotate,
    async token(audience, subject, claims = {}) {
      const body = new URLSearchParams({ grant_type: grant, client_id: audience, client_secret: 'secret', subject });
      body.set('job', JSON.stringify(claims));
      const reply = await fetch(`${url}/token`, { method: 'POST', body });
      const { id_token: token } = (await reply.json()) as { id_token?: string };
      if (token === undefined) throw new Error(`the issuer gave no token: ${reply.status}`);
      return token;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function createProvider(url: string, jwk: object): Provider {
  const provider = new Provider(url, {
    jwks: { keys: [jwk] },
    ttl: { IdToken: 300 },
    features: { devInteractions: { enabled: false } },
    clients: audiences.map((audience) => ({
      client_id: audience,
      client_secret: 'secret',
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: [grant],
      response_types: [],
      redirect_uris: [],
    })),
  });
  provider.registerGrantType(
    grant,
    async (context) => {
      const { subject, job } = context.oidc.params as unknown as { subject: string; job: string };
      const token = new provider.IdToken({}, { ctx: context });
      // Set one by one: claims given to the constructor are those of an account, of which only what was asked for is told.
      for (const [name, value] of Object.entries({ sub: subject, ...JSON.parse(job) })) token.set(name, value);
      context.body = { id_token: await token.issue({ use: 'idtoken' }) };
    },
    ['subject', 'job'],
  );
  return provider;
}
