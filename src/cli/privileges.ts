import { lchown, lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { rootDirectoryOf } from '../../storage-drivers/filesystem/options.ts';
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
  if (driver.name === 'filesystem') await handOver(rootDirectoryOf(driver.parameters), Number(uid), Number(gid), tell);
  become(Number(uid), Number(gid));
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

/**
 * For commands, which an administrator runs as root beside a server that is not: becomes the user in `BERTH_USER`, else the
 * one to whom the storage belongs, so that the server can read what the command has made.
 */
export async function becomeOwner(storage: Config['storage']): Promise<void> {
  if (process.getuid?.() !== 0) return;
  await dropPrivileges(storage, () => {});
  const { driver } = storage;
  if (process.getuid() !== 0 || driver.name !== 'filesystem') return;
  const owner = await lstat(rootDirectoryOf(driver.parameters)).catch(() => undefined);
  if (owner === undefined || owner.uid === 0) return;
  become(owner.uid, owner.gid);
}

function become(uid: number, gid: number): void {
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}
