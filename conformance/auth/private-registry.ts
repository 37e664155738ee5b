import { join } from 'node:path';
import type { Artifact } from '../clients/raw/artifact.ts';
import { createHttpClient, type HttpClient, type Reply, type RequestOptions } from '../harness/http-client.ts';
import { run } from '../harness/run.ts';
import { berthCommand, type Server, type ServerOptions, startBerth } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { addUser } from './users.ts';

/** Users of the test and their passwords. */
export const passwords = {
  alice: 'alice-secret',
  bob: 'bob-secret',
  reader: 'reader-secret',
  writer: 'writer-secret',
  deleter: 'deleter-secret',
  root: 'root-secret',
} as const;
export type User = keyof typeof passwords;

/** `auth.builtin`: what is public, what is whose, and who may do what in `team/**`. */
export const policy = [
  { repositories: ['public/**'], who: ['anonymous'], actions: ['pull', 'catalog'] },
  { repositories: ['team/**'], who: ['user:reader'], actions: ['pull'] },
  { repositories: ['team/**'], who: ['user:writer'], actions: ['push'] },
  { repositories: ['team/**'], who: ['user:deleter'], actions: ['delete'] },
  { repositories: ['{name}/**'], who: ['users'], actions: ['push', 'delete'] },
  { repositories: ['**'], who: ['user:root'], actions: ['admin'] },
];

export interface PrivateRegistry {
  readonly server: Server;
  readonly client: HttpClient;
  readonly usersFile: string;
  /** Runs a command of berth with the registry's configuration. @returns its standard output */
  berth(args: readonly string[], input?: string): Promise<string>;
  /** Basic credentials. */
  basic(user: string, password?: string): string;
  /** A token for these scopes. */
  token(user: User | undefined, ...scopes: string[]): Promise<string>;
  /** Stores an image. */
  push(user: User, name: string, image: Artifact, tag: string): Promise<void>;
  request(method: string, path: string, authorization?: string, options?: RequestOptions): Promise<Reply>;
  stop(): Promise<void>;
}

/** @param builtin laid over the section `auth.builtin` @param over options of the server */
export async function startPrivateRegistry(builtin: object = {}, over: ServerOptions = {}): Promise<PrivateRegistry> {
  const folder = await temporaryFolder('berth-users-');
  const usersFile = join(folder.path, 'users');
  const [command, ...leading] = berthCommand();
  for (const [user, password] of Object.entries(passwords)) await addUser(usersFile, user, password);
  const given = typeof over.config === 'object' ? over.config : {};
  const server = await startBerth({
    ...over,
    config: { ...given, auth: { builtin: { users: usersFile, policy, ...builtin } } },
  });
  const client = createHttpClient(server.url);
  const basic = (user: string, password: string = passwords[user as User] ?? '') =>
    `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

  async function request(method: string, path: string, authorization?: string, options: RequestOptions = {}) {
    return client.request(method, path, {
      ...options,
      headers: { ...options.headers, ...(authorization !== undefined && { Authorization: authorization }) },
    });
  }

  return {
    server,
    client,
    usersFile,
    basic,
    request,
    async push(user, name, { blobs, manifest }, tag) {
      for (const { digest, bytes } of blobs) {
        await request('POST', `/v2/${name}/blobs/uploads/?digest=${digest}`, basic(user), { body: bytes });
      }
      const headers = { 'Content-Type': manifest.mediaType };
      await request('PUT', `/v2/${name}/manifests/${tag}`, basic(user), { body: manifest.bytes, headers });
    },
    async berth(args, input) {
      const config = ['--config', server.configFile];
      const { code, stdout, stderr } = await run(
        command,
        [...leading, ...args, ...config],
        input === undefined ? {} : { input },
      );
      if (code !== 0) throw new Error(`berth ${args.join(' ')}: ended with ${code}\n${stdout}\n${stderr}`);
      return stdout;
    },
    async token(user, ...scopes) {
      const query = new URLSearchParams([
        ['service', 'berth'],
        ...scopes.map((scope): [string, string] => ['scope', scope]),
      ]);
      const headers = user === undefined ? {} : { Authorization: basic(user) };
      const reply = await client.request('GET', `/auth/token?${query}`, { headers });
      if (reply.status !== 200) throw new Error(`no token: ${reply}`);
      return (reply.json() as { token: string }).token;
    },
    async stop() {
      client.close();
      await server.stop();
      await folder.remove();
    },
  };
}
