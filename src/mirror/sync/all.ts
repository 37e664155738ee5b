/** Waits for all, and then throws what the first in the list has thrown: nothing goes on behind the caller's back. */
export async function all(promises: Iterable<Promise<unknown>>): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === 'rejected') throw result.reason;
}
