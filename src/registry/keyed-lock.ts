/**
 * Orders tasks that have a key in common, within this process. Tasks that share run at the same time; an exclusive one
 * waits for all before it, and all behind it wait for it. Different keys know nothing of each other.
 */
export interface KeyedLock {
  shared<T>(key: string, task: () => Promise<T>): Promise<T>;
  exclusive<T>(key: string, task: () => Promise<T>): Promise<T>;
}

interface Queue {
  /** Ends when the last exclusive task has ended. */
  exclusive: Promise<unknown>;
  /** Those that share and began behind it. */
  shared: Set<Promise<unknown>>;
  /** Tasks that have not ended. */
  tasks: number;
}

export function createKeyedLock(): KeyedLock {
  const queues = new Map<string, Queue>();

  async function run<T>(key: string, enqueue: (queue: Queue) => Promise<T>): Promise<T> {
    const queue = queues.get(key) ?? { exclusive: Promise.resolve(), shared: new Set(), tasks: 0 };
    queues.set(key, queue);
    queue.tasks++;
    try {
      return await enqueue(queue);
    } finally {
      queue.tasks--;
      if (queue.tasks === 0) queues.delete(key);
    }
  }

  return {
    shared: (key, task) =>
      run(key, (queue) => {
        const mine = queue.exclusive.then(task);
        const ended: Promise<unknown> = mine.catch(() => undefined).then(() => queue.shared.delete(ended));
        queue.shared.add(ended);
        return mine;
      }),
    exclusive: (key, task) =>
      run(key, (queue) => {
        const mine = Promise.all([queue.exclusive, ...queue.shared]).then(task);
        queue.exclusive = mine.catch(() => undefined);
        queue.shared = new Set();
        return mine;
      }),
  };
}
