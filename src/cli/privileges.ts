import { lchown, lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../config/finding.ts';
import type { Config } from '../config/schema.ts';

/**
 * Becomes the user in `BERTH_USER` (`uid:gid`, both numbers) when started as root: so that a container can be given any
 * volume and the server still does not run as root. A volume whose files root owns, as a new one does and as
 * distribution's image leaves it, is handed to that user first; distribution, as root, can read and write it afterwards
 * as before.
 *
 * @param tell is told, now and then, of the handing over
 */
export async function dropPrivileges({ driver }: Config['storage'], tell: Tell): Promise<void> {
  const user = process.env.BERTH_USER;
  if (user === undefined || user === '' || process.getuid?.() !== 0) return;
  const [, uid, gid] = /^(\d{1,9}):(\d{1,9})$/.exec(user) ?? [];
  if (uid === undefined || gid === undefined) {
    const message = 'must be uid:gid, two numbers such as 1000:1000';
    throw new ConfigError([{ source: 'BERTH_USER', key: '', value: user, message }]);
  }
  if (Number(uid) === 0) return;
  const { rootdirectory = '/var/lib/registry' } = driver.parameters;
  if (driver.name === 'filesystem') await handOver(String(rootdirectory), Number(uid), Number(gid), tell);
  process.setgroups?.([Number(gid)]);
  process.setgid?.(Number(gid));
  process.setuid?.(Number(uid));
}

type Tell = (message: string, fields: Readonly<Record<string, unknown>>) => void;

async function handOver(folder: string, uid: number, gid: number, tell: Tell): Promise<void> {
  let changed = 0;
  let told = Date.now();

  // A folder is handed over after what it holds: when this breaks off, the top still says that it is not done.
  async function visit(path: string): Promise<void> {
    const stat = await lstat(path);
    if (stat.isDirectory()) for await (const entry of await opendir(path)) await visit(join(path, entry.name));
    if (stat.uid !== 0) return;
    await lchown(path, uid, gid);
    changed++;
    if (Date.now() - told < 5_000) return;
    told = Date.now();
    tell('handing the storage over to the user of the registry', { folder, uid, gid, files: changed });
  }

  const top = await lstat(folder).catch(() => undefined);
  if (top === undefined || top.uid !== 0) return;
  await visit(folder);
  tell('handed the storage over to the user of the registry', { folder, uid, gid, files: changed });
}
