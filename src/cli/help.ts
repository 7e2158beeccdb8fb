// The words of the command line: help, version, and what a failed start means to a person.

import manifest from '../../package.json' with { type: 'json' }
import { ConfigFaults } from '../config.ts'
import { AuthError } from '../errors.ts'
import { WrongSecret } from '../keys/keys.ts'
import { describeError } from '../observability/log.ts'
import { StorageFault } from '../storage/faults.ts'
import { CannotListen, PortTaken } from './listen.ts'

export const VERSION = manifest.version

export const HELP = `munjigi – a self-hosted GraphQL auth server

  munjigi dev     try it out: makes what it needs, prints what to type next
  munjigi serve   for production: everything set by MUNJIGI_… variables (README)

  --help          this text
  --version       the version`

/** BSD's sysexits: 78 for configuration, 69 for a part that cannot be reached, 70 for a fault of ours. */
export function explain(error: unknown): { message: string; exitCode: number } {
  if (error instanceof ConfigFaults) return { message: error.message, exitCode: 78 }
  if (error instanceof WrongSecret)
    return {
      message: `munjigi: ${error.message}. Put the old one back; a new secret makes every token and key useless.`,
      exitCode: 78,
    }
  if (error instanceof PortTaken)
    return {
      message: `munjigi: ${error.message}. Set MUNJIGI_PORT or MUNJIGI_METRICS_PORT.`,
      exitCode: 69,
    }
  if (error instanceof CannotListen) return { message: `munjigi: ${error.message}`, exitCode: 69 }
  if (error instanceof StorageFault)
    return { message: `munjigi: cannot open the database: ${error.message}`, exitCode: 69 }
  if (error instanceof AuthError)
    return { message: 'munjigi: the database cannot be reached; the log says why.', exitCode: 69 }
  if (error instanceof Error && 'syscall' in error && 'path' in error)
    return { message: `munjigi: cannot use ${error.path} (${codeOf(error)})`, exitCode: 69 }
  const { error: kind, at } = describeError(error)
  return { message: `munjigi: could not start: ${kind}\n  ${at ?? ''}`, exitCode: 70 }
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.name
}
