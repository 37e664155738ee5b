import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { keepTrack, stopChild } from '../children.ts';
import type { Job, Order, Reply, Run } from './jobs.ts';

/** The load generator in a process of its own, so that what this process does takes nothing from it. */
export interface LoadProcess {
  /** Gets everything ready. What is returned does the work. @throws Error when an answer is not what it must be */
  prepare(job: Job, signal: AbortSignal): Promise<Run>;
  stop(): Promise<void>;
}

export function startLoadProcess(): LoadProcess {
  const child = keepTrack(fork(fileURLToPath(new URL('./main.js', import.meta.url)), { stdio: 'inherit' }));

  async function ask(order: Order, signal: AbortSignal): Promise<Reply> {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('the load process has ended');
    const given = new AbortController();
    const limit = AbortSignal.any([signal, given.signal]);
    const answer = once(child, 'message', { signal: limit });
    const end = once(child, 'exit', { signal: limit }).then(() => {
      throw new Error('the load process has ended');
    });
    try {
      child.send(order);
      const [reply] = (await Promise.race([answer, end])) as [Reply];
      if (reply.reply === 'failed') throw new Error(reply.message);
      return reply;
    } finally {
      given.abort();
      await Promise.allSettled([answer, end]);
    }
  }

  return {
    async prepare(job, signal) {
      await ask({ order: 'prepare', job }, signal);
      return async () => {
        const reply = await ask({ order: 'run' }, signal);
        if (reply.reply !== 'done') throw new Error('the load process did not do its work');
        return reply.work;
      };
    },
    stop: () => stopChild(child),
  };
}
