import { readdir, readFile, writeFile } from 'node:fs/promises';

/** What one process and all that it started have used so far. */
export interface Usage {
  /** CPU time of all threads, in user and kernel mode, in seconds; children that have ended are counted too. */
  cpuSeconds: number;
  /** Largest resident set since {@link resetPeakMemory}, in bytes; of several processes the sum of each one's own peak. */
  peakMemory: number;
}

export interface ProcessStat {
  pid: number;
  parent: number;
  /** In clock ticks: own time and the time of children that were waited for. */
  ticks: number;
}

/** Linux tells user space 100 ticks in a second on every architecture that Node runs on (USER_HZ). */
const ticksPerSecond = 100;

/** Reads one `/proc/<pid>/stat` (proc_pid_stat(5)). The name in it may hold blanks and brackets, so it is cut at the last one. */
export function parseProcessStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  const ticks = field(14) + field(15) + field(16) + field(17);
  return { pid: Number.parseInt(text, 10), parent: field(4), ticks };
}

/** The value of `VmHWM` in `/proc/<pid>/status`, in bytes; 0 for a process without memory of its own (a zombie). */
export function parsePeakMemory(text: string): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}

/**
 * CPU time of the whole machine that processes took, or that the host withheld, in seconds, from the text of `/proc/stat`.
 * Interrupts are left out: the network's belong to whoever sends, and no process is charged for them.
 */
export function parseBusySeconds(text: string): number {
  // Guest time (fields 9 and 10) is contained in user and nice.
  const [user = 0, nice = 0, system = 0, , , , , steal = 0] = text
    .slice(0, text.indexOf('\n'))
    .replace(/^cpu\s+/, '')
    .split(' ')
    .map(Number);
  return (user + nice + system + steal) / ticksPerSecond;
}

/** `root` and every process below it. */
export function descendants(root: number, processes: readonly ProcessStat[]): ProcessStat[] {
  const found = processes.filter((process) => process.pid === root);
  for (const parent of found) found.push(...processes.filter((process) => process.parent === parent.pid));
  return found;
}

async function processTree(root: number): Promise<ProcessStat[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const texts = await Promise.all(names.map((name) => readFile(`/proc/${name}/stat`, 'utf8').catch(() => undefined)));
  const tree = descendants(
    root,
    texts.flatMap((text) => (text === undefined ? [] : [parseProcessStat(text)])),
  );
  if (tree.length === 0) throw new Error(`process ${root} is gone`);
  return tree;
}

export async function usageOf(root: number): Promise<Usage> {
  const tree = await processTree(root);
  const peaks = await Promise.all(
    tree.map(async ({ pid }) => parsePeakMemory(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))),
  );
  return {
    cpuSeconds: tree.reduce((sum, process) => sum + process.ticks, 0) / ticksPerSecond,
    peakMemory: peaks.reduce((sum, peak) => sum + peak, 0),
  };
}

/** Sets the peak of each process below `root` to what it holds now (proc_pid_clear_refs(5), value 5). */
export async function resetPeakMemory(root: number): Promise<void> {
  for (const { pid } of await processTree(root)) await writeFile(`/proc/${pid}/clear_refs`, '5');
}

export async function machineBusySeconds(): Promise<number> {
  return parseBusySeconds(await readFile('/proc/stat', 'utf8'));
}
