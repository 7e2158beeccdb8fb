// Reading a password: from a pipe, or from a terminal without showing it. Never from an argument, which every user of the
// machine could see.

import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'

/** One line of standard input, without its line break. Empty when there is none. */
export function readSecretLine(prompt: string): Promise<string> {
  const onTerminal = process.stdin.isTTY === true
  if (onTerminal) process.stderr.write(prompt)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({ input: process.stdin, output: nowhere, terminal: onTerminal })
  return new Promise((resolve) => {
    let line = ''
    reader.once('line', (text) => {
      line = text
      reader.close()
    })
    reader.once('close', () => {
      if (onTerminal) process.stderr.write('\n')
      resolve(line)
    })
  })
}
