/**
 * Runs a task for each item, several at a time, and gives the results in the order of the items. Begins with few, so that
 * who wants only the first ones does not pay for more.
 *
 * @param width tasks at a time
 */
export async function* ahead<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  width: number,
  task: (item: Item) => Promise<Result>,
): AsyncGenerator<{ item: Item; result: Result }> {
  const queue: { item: Item; result: Promise<Result> }[] = [];
  let given = 0;
  for await (const item of items) {
    const result = task(item);
    // Whoever stops early does not hear of a fault in what he did not ask for.
    result.catch(() => undefined);
    queue.push({ item, result });
    if (queue.length < Math.min(width, 2 * given + 2)) continue;
    const next = queue.shift();
    if (next === undefined) continue;
    yield { item: next.item, result: await next.result };
    given += 1;
  }
  for (const { item, result } of queue) yield { item, result: await result };
}
