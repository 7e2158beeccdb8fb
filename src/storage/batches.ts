// Deleting what nobody needs any more, few rows at a time, so that others get their turn in between: on a server they wait for
// the writer, on a file for the event loop too, which the binding holds until a batch is done.

/** Rows in one batch: of a large table each is on pages of its own, and a hundred can take 50 ms. */
export const BATCH_ROWS = 100
/** Batches in one round, so that a round ends. It deletes some eight hundred rows a second, which is more than one writer can add. */
const MOST_BATCHES = 500
const PAUSE_MS = 10

/** Calls `batch`, which says how many rows it has deleted, until it is not full or the round is over. Throws what it throws. */
export async function inBatches(batch: (rows: number) => Promise<number>): Promise<void> {
  for (let count = 0; count < MOST_BATCHES; count += 1) {
    if ((await batch(BATCH_ROWS)) < BATCH_ROWS) return
    await betweenBatches()
  }
}

/** Lets others have their turn: a promise alone does not, where all is done without waiting. */
export function betweenBatches(): Promise<void> {
  return Bun.sleep(PAUSE_MS)
}
