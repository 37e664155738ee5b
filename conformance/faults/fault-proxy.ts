import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { atExit } from '../harness/at-exit.ts';
import { projectRoot } from '../harness/project-root.ts';
import { s3Server } from '../harness/s3-server.ts';

/** What goes wrong, and how often; all that there is stands with the program, `storage-drivers/s3/testing/fault-proxy.ts`. */
export interface FaultRule {
  readonly fault: { readonly kind: string; readonly [detail: string]: unknown };
  /** S3's names. Default: all. */
  readonly operations?: readonly string[];
  /** From 0 to 1. Default 1. */
  readonly probability?: number;
}

/** A proxy between a registry and the S3 server of this run, as a process of its own. */
export interface FaultProxy {
  /** `http://127.0.0.1:<port>` */
  readonly endpoint: string;
  inject(...rules: readonly FaultRule[]): Promise<void>;
  /** Takes all rules back. @returns requests so far, by the kind of fault that they met */
  clear(): Promise<Readonly<Record<string, number>>>;
  stop(): Promise<void>;
}

/** @param port default: a free one */
export async function startFaultProxy(port = 0): Promise<FaultProxy> {
  const program = join(projectRoot(), 'dist/storage-drivers/s3/testing/fault-proxy-program.js');
  if (!existsSync(program)) throw new Error(`${program} does not exist: run npm run build first`);
  const { endpoint: server } = await s3Server();
  const child = spawn(process.execPath, [program, server, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const forget = atExit(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the fault proxy has ended');
    return JSON.parse(value);
  };
  const order = (what: object): Promise<unknown> => {
    child.stdin.write(`${JSON.stringify(what)}\n`);
    return answer();
  };
  return {
    endpoint: (await answer()) as string,
    async inject(...rules) {
      for (const rule of rules) await order({ inject: rule });
    },
    clear: async () => (await order({ clear: true })) as Record<string, number>,
    async stop() {
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
      forget();
    },
  };
}
