import { join } from 'node:path';
import { startBerth } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { passwords, startPrivateRegistry } from './private-registry.ts';
import { addUser } from './users.ts';

/** How clients log in: with Basic at every request (`auth.htpasswd`), or for tokens of the registry (`auth.builtin`). */
export type LoginKind = 'basic' | 'tokens';

/** A registry where this user may do everything, and nobody else anything. */
export interface LoginRegistry {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  stop(): Promise<void>;
}

export async function startWithLogin(kind: LoginKind): Promise<LoginRegistry> {
  const user = 'root';
  const password = passwords[user];
  if (kind === 'tokens') {
    const registry = await startPrivateRegistry();
    return { url: registry.server.url, user, password, stop: registry.stop };
  }
  const folder = await temporaryFolder('berth-users-');
  const path = join(folder.path, 'users');
  await addUser(path, user, password);
  const server = await startBerth({ config: { auth: { htpasswd: { realm: 'berth', path } } } });
  return {
    url: server.url,
    user,
    password,
    async stop() {
      await server.stop();
      await folder.remove();
    },
  };
}
