import { lchown, lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../config/finding.ts';
import type { Log } from '../http/log.ts';

/**
 * Becomes the user in `BERTH_USER` (`uid:gid`, both numbers) when started as root: so that a container can be given any
 * volume and the server still does not run as root. A volume whose files root owns, as a new one does and as
 * distribution's image leaves it, is handed to that user first; distribution, as root, can read and write it afterwards
 * as before.
 *
 * @param folder the folder of the storage; undefined: it has none
 */
export async function dropPrivileges(user: string | undefined, folder: string | undefined, log: Log): Promise<void> {
  if (user === undefined || user === '' || process.getuid?.() !== 0) return;
  const [, uid, gid] = /^(\d{1,9}):(\d{1,9})$/.exec(user) ?? [];
  if (uid === undefined || gid === undefined) {
    const message = 'must be uid:gid, two numbers such as 1000:1000';
    throw new ConfigError([{ source: 'BERTH_USER', key: '', value: user, message }]);
  }
  if (Number(uid) === 0) return;
  if (folder !== undefined) await handOver(folder, Number(uid), Number(gid), log);
  process.setgroups?.([Number(gid)]);
  process.setgid?.(Number(gid));
  process.setuid?.(Number(uid));
}

async function handOver(folder: string, uid: number, gid: number, log: Log): Promise<void> {
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
    log.info('handing the storage over to the user of the registry', { folder, uid, gid, files: changed });
  }

  const top = await lstat(folder).catch(() => undefined);
  if (top === undefined || top.uid !== 0) return;
  await visit(folder);
  log.info('handed the storage over to the user of the registry', { folder, uid, gid, files: changed });
}
