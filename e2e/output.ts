// Waiting for what a program prints, instead of for some time to pass.

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
