import { readFile, realpath, statfs } from 'node:fs/promises';
import os from 'node:os';

/** What a reader must know about the machine to judge the numbers. */
export interface Machine {
  cpu: string;
  cores: number;
  /** In bytes. */
  memory: number;
  kernel: string;
  node: string;
  /** Of the folder with the data, e.g. `ext4 on /dev/vda (rw,relatime)`. */
  fileSystem: string;
  /** Processes that wanted to run during the last minute; above 0.2 before the start, something else is running. */
  load: number;
}

/** Finds the mount that holds `folder` in the text of `/proc/mounts`: the longest mount point above it, the last if mounted over. */
export function fileSystemOf(folder: string, mounts: string): string {
  let best = { point: '', text: 'unknown' };
  for (const line of mounts.split('\n')) {
    const [device, point, type, options] = line.split(' ').map((field) => field.replaceAll('\\040', ' '));
    if (point === undefined || point.length < best.point.length) continue;
    const prefix = point === '/' ? '/' : `${point}/`;
    if (`${folder}/`.startsWith(prefix)) best = { point, text: `${type} on ${device} (${options})` };
  }
  return best.text;
}

export async function describeMachine(folder: string): Promise<Machine> {
  return {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    memory: os.totalmem(),
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    fileSystem: fileSystemOf(await realpath(folder), await readFile('/proc/mounts', 'utf8')),
    load: os.loadavg()[0] ?? 0,
  };
}

/** Bytes that may still be written below `folder`. */
export async function freeSpace(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
