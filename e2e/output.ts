// What programs print: reading it, waiting for it, having it in a file. And how those of e2e/ say that they fail.

import { closeSync, openSync } from 'node:fs'

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

/** Calls `onLine` with every line, without its break, and waits for it; resolves at the end. */
export async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void | Promise<void>,
): Promise<void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) await onLine(line)
  }
  if (rest !== '') await onLine(rest)
}

/** Says why a command fails, and gives the exit code. */
export function fail(message: string, exitCode: number): number {
  console.error(message)
  return exitCode
}

/** Runs a program and resolves to what it prints. Throws with what it says when it fails. */
export async function outputOf(
  command: readonly string[],
  { cwd, env = process.env }: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv },
): Promise<string> {
  const child = Bun.spawn([...command], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  if ((await child.exited) === 0) return out
  throw new Error(`${command.join(' ')}: ${err.trim() || out.trim()}`)
}

/** Opens a file for what a program prints, for as long as starting it takes; what is in it stays, before the new lines. */
export function withOutputTo<T>(file: string, start: (output: number) => T): T {
  const output = openSync(file, 'a', 0o600)
  try {
    return start(output)
  } finally {
    closeSync(output)
  }
}
