import { readFileSync, readlinkSync } from 'node:fs';
import { errnoOf } from './errors.ts';

/** Which process this is, as other processes on the same storage can see it; on Linux, from proc(5). */
export interface ProcessIdentity {
  /** Of the running kernel, so of this machine since it started; undefined where there is no /proc. */
  readonly boot: string | undefined;
  /** Processes of other containers have numbers of their own. */
  readonly pidNamespace: string | undefined;
  readonly pid: number;
  /** In clock ticks since the machine started: numbers are given to new processes again. */
  readonly started: string | undefined;
}

export function processIdentity(): ProcessIdentity {
  return {
    boot: attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidNamespace: attempt(() => readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    started: processState(process.pid)?.started,
  };
}

/** Whether two identities come from the same table of processes, so that one can look for the other there. */
export function canSee(self: ProcessIdentity, other: ProcessIdentity): boolean {
  if (self.boot === undefined || self.pidNamespace === undefined) return false;
  return self.boot === other.boot && self.pidNamespace === other.pidNamespace;
}

/** Whether that process is surely gone. Only for one that {@link canSee} admits. */
export function isGone(other: ProcessIdentity): boolean {
  try {
    process.kill(other.pid, 0);
  } catch (error) {
    // EPERM: it runs as another user.
    return errnoOf(error) === 'ESRCH';
  }
  const state = processState(other.pid);
  if (state === undefined) return false;
  return state.dead || state.started !== other.started;
}

/** Fields 3 (state) and 22 (start time) of /proc/<pid>/stat. The name in field 2 may hold anything, also brackets. */
function processState(pid: number): { started: string; dead: boolean } | undefined {
  const text = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, started] = [fields?.[0], fields?.[19]];
  if (state === undefined || started === undefined) return undefined;
  // A zombie, whose parent has not asked for its end yet, writes nothing any more.
  return { started, dead: state === 'Z' || state === 'X' };
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
