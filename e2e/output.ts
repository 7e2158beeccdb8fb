// Reading what a program prints, and waiting for it.

/** Waits until `stream` has held `wanted`, and gives what was read until then. Throws if it ends before. */
export async function seen(stream: ReadableStream<Uint8Array>, wanted: string): Promise<string> {
  let text = ''
  const decoder = new TextDecoder()
  // The stream stays open behind us, for the program goes on writing to it.
  for await (const chunk of stream.values({ preventCancel: true })) {
    text += decoder.decode(chunk, { stream: true })
    if (text.includes(wanted)) return text
  }
  throw new Error(`ended without ${wanted}:\n${text}`)
}

/** Calls `onLine` with every line, without its break; resolves at the end. */
export async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    lines.forEach(onLine)
  }
  if (rest !== '') onLine(rest)
}
