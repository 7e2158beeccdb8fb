// Reading a password: from a pipe, or from a terminal without showing it. Never from an argument, which every user of the
// machine could see.

import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { textOf } from '../platform/utf8.ts'

/** Somebody has pressed Ctrl-C at a question. */
export class Stopped extends Error {
  override readonly name = 'Stopped'
}

const LINE_FEED = 0x0a

/**
 * One line of standard input, without its line break. Empty when there is none. Throws `Stopped`, and `NotText`: with characters
 * replaced, a password would be another one. So it would be with the byte order mark that some editors begin a file with.
 */
export async function readSecretLine(prompt: string): Promise<string> {
  if (process.stdin.isTTY === true) return await askFor(prompt)
  return textOf(await firstLine()).replace(/^\ufeff/, '')
}

async function firstLine(): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    if (chunk.includes(LINE_FEED)) break
  }
  const bytes = Buffer.concat(chunks)
  const end = bytes.indexOf(LINE_FEED)
  const line = end < 0 ? bytes : bytes.subarray(0, end)
  return line.at(-1) === 0x0d ? line.subarray(0, -1) : line
}

async function askFor(prompt: string): Promise<string> {
  const typed: Buffer[] = []
  const keep = (bytes: Buffer) => void typed.push(bytes)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: true })
  process.stdin.on('data', keep)
  // Not before there is a reader: until then the terminal shows what is typed.
  process.stderr.write(prompt)
  try {
    const line = await new Promise<string>((resolve, reject) => {
      reader.once('SIGINT', () => reject(new Stopped('by Ctrl-C')))
      reader.once('line', resolve)
      reader.once('close', () => resolve(''))
    })
    // The reader has replaced what is no text. This throws for it.
    textOf(Buffer.concat(typed))
    return line
  } finally {
    process.stdin.off('data', keep)
    reader.close()
    process.stderr.write('\n')
  }
}
