// What a failed command means to a person.

import { ConfigFaults } from '../config.ts'
import { AuthError, messageOf } from '../errors.ts'
import { WrongSecret } from '../keys/keys.ts'
import { describeError } from '../observability/log.ts'
import { BrokenBackup } from '../storage/archive.ts'
import { NoQuietMoment } from '../storage/backup.ts'
import { StorageFault, toFault } from '../storage/faults.ts'
import { UnfinishedRestore } from '../storage/unfinished.ts'
import { CannotListen, PortTaken } from './listen.ts'
import { NotDone } from './not-done.ts'
import { isUsageError, USAGE } from './program.ts'
import { Stopped } from './secret-input.ts'

/** What is printed, nothing if it is empty, and the exit code. */
interface Explanation {
  readonly message: string
  readonly exitCode: number
}

/**
 * The sentence and the exit code. BSD's sysexits: 64 for a call nobody can understand, 78 for configuration, 65 for a backup that
 * is none, 69 for a part that cannot be used, 70 for a fault of ours; 1: not done, or not all of it; 130: Ctrl-C.
 */
export function explain(error: unknown): Explanation {
  // Commander has told the user already; help and version are no failures.
  if (isUsageError(error)) return { message: '', exitCode: error.exitCode === 0 ? 0 : USAGE }
  if (error instanceof NotDone) return { message: `munjigi: ${error.message}`, exitCode: 1 }
  if (error instanceof Stopped)
    return { message: 'munjigi: stopped, nothing was changed', exitCode: 130 }
  if (error instanceof ConfigFaults) return { message: error.message, exitCode: 78 }
  if (error instanceof WrongSecret)
    return {
      message: `munjigi: ${error.message}. Put the old secret back: with a new one every token and key is useless. If only one of several keys is affected, munjigi keys list shows which. If the old secret is lost: docs/operations.md, Incidents.`,
      exitCode: 78,
    }
  if (error instanceof PortTaken)
    return {
      message: `munjigi: ${error.message}. Set MUNJIGI_PORT or MUNJIGI_METRICS_PORT.`,
      exitCode: 69,
    }
  if (error instanceof CannotListen) return { message: `munjigi: ${error.message}`, exitCode: 69 }
  if (error instanceof StorageFault)
    return {
      message: `munjigi: cannot use the database: ${error.message}${remedyOf(error)}`,
      exitCode: 69,
    }
  if (error instanceof AuthError) return explainRefusal(error)
  if (error instanceof BrokenBackup)
    return { message: `munjigi: the backup cannot be used: ${error.message}`, exitCode: 65 }
  if (error instanceof NoQuietMoment)
    return {
      message:
        'munjigi: the backup was abandoned because writers had to wait for it. Start sqld with a longer --checkpoint-interval-s.',
      exitCode: 69,
    }
  if (error instanceof UnfinishedRestore)
    return {
      message:
        'munjigi: a restore into this database did not end, so the database is not whole. Run munjigi restore again, with --replace.',
      exitCode: 69,
    }
  return explainFault(error)
}

/** In a container of one's own the folder by default is not writable, nor is a volume that belongs to root. */
function remedyOf({ detail }: StorageFault): string {
  if (!/^(?:EACCES|SQLITE_CANTOPEN|SQLITE_READONLY)/.test(detail)) return ''
  return '. If MUNJIGI_DATABASE_URL is a file, its folder must be writable for the user who runs this.'
}

function explainRefusal({ code, details }: AuthError): Explanation {
  if (code === 'NOT_FOUND')
    return { message: 'munjigi: this user no longer exists; nothing was done', exitCode: 1 }
  if (code === 'SERVICE_UNAVAILABLE')
    return { message: 'munjigi: the database cannot be reached; the log says why.', exitCode: 69 }
  const reason = details.reason ? ` (${details.reason})` : ''
  return { message: `munjigi: ${messageOf(code, 'en')}${reason}`, exitCode: 1 }
}

/** What is thrown by others: the system, the driver of the database, and whoever has made a mistake. */
function explainFault(error: unknown): Explanation {
  if (error instanceof Error && 'syscall' in error && 'code' in error) {
    // An error in the use of an open file has no path: a disk is full, or a folder is read as a file.
    const what = 'path' in error && error.path ? `use ${error.path}` : error.syscall
    return { message: `munjigi: cannot ${what} (${error.code})`, exitCode: 69 }
  }
  const fault = toFault(error)
  if (fault.code !== 'other' || fault.detail.startsWith('SQLITE_'))
    return { message: `munjigi: the database failed: ${fault.message}`, exitCode: 69 }
  const { error: kind, at } = describeError(error)
  return { message: `munjigi: unexpected failure: ${kind}\n  ${at ?? ''}`, exitCode: 70 }
}
