// Many at a time, results in the order of the items.

/** Items that may be begun before the oldest unfinished one is done, for each that runs: bounds what an interruption loses. */
const AHEAD = 4;

/** At most `limit` run at once. After a failure none is begun; it is thrown when all before it have been yielded. */
export async function* inOrder<Item, Result>(
  items: Iterable<Item>,
  limit: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const source = items[Symbol.iterator]();
  const results: Promise<Result>[] = [];
  let running = 0;
  let failed = false;
  const fill = () => {
    while (!failed && running < limit && results.length < AHEAD * limit) {
      const { value, done } = source.next();
      if (done) return;
      running++;
      const result = work(value);
      results.push(result);
      const settled = (failure: boolean) => {
        running--;
        failed ||= failure;
        fill();
      };
      result.then(
        () => settled(false),
        () => settled(true),
      );
    }
  };
  fill();
  for (let next = results[0]; next; next = results[0]) {
    const result = await next;
    results.shift();
    fill();
    yield result;
  }
}
