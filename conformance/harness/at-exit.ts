const tasks = new Set<() => void>();

function runAll(): void {
  for (const task of tasks) task();
  tasks.clear();
}

// A test runner ends its workers by signal or by closing their channel, and then `exit` is not emitted.
process.once('exit', runAll);
process.once('disconnect', runAll);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.once(signal, () => {
    runAll();
    process.kill(process.pid, signal);
  });
}

/**
 * The net below tests that fail before they clean up: `task`, which must not wait for anything, runs when this process
 * ends in any way but SIGKILL.
 *
 * @returns takes it back
 */
export function atExit(task: () => void): () => void {
  tasks.add(task);
  return () => void tasks.delete(task);
}
