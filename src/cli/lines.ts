// Reading lines as they come, one at a time: a file of users may be larger than memory.

/** The lines of a stream of UTF-8, without their line breaks. Null stands for one that is longer than `longest`. */
export async function* linesOf(
  stream: AsyncIterable<Uint8Array>,
  longest: number,
): AsyncGenerator<string | null> {
  const decoder = new TextDecoder()
  let rest = ''
  let tooLong = false
  for await (const chunk of stream) {
    const [first = '', ...more] = decoder.decode(chunk, { stream: true }).split('\n')
    rest += first
    for (const next of more) {
      yield tooLong || rest.length > longest ? null : rest
      tooLong = false
      rest = next
    }
    // Nothing is kept of a line that will be refused.
    if (rest.length > longest) [rest, tooLong] = ['', true]
  }
  rest += decoder.decode()
  if (tooLong || rest !== '') yield tooLong || rest.length > longest ? null : rest
}
