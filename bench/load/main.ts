import type { Order, Reply, Run } from './jobs.ts';
import { prepare } from './prepare.ts';

/** The load process: takes orders from the process that forked it, one at a time, and ends with it. */

let prepared: Run | undefined;

function send(reply: Reply): void {
  process.send?.(reply);
}

async function obey(order: Order): Promise<Reply> {
  if (order.order === 'prepare') {
    prepared = prepare(order.job);
    return { reply: 'prepared' };
  }
  if (prepared === undefined) throw new TypeError('nothing is prepared');
  const run = prepared;
  prepared = undefined;
  return { reply: 'done', work: await run() };
}

process.on('message', (order: Order) => {
  obey(order).then(send, (error: unknown) => {
    send({ reply: 'failed', message: error instanceof Error ? error.message : String(error) });
  });
});
process.on('disconnect', () => process.exit());
