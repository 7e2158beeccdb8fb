// A disk of 8 MiB that a test may fill.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const MIB = 1_048_576

/** A mounted disk. Disposing of it takes it away. */
export interface SmallDisk extends Disposable {
  readonly folder: string
  /** Fills it to the last byte. */
  fill(): void
  free(): void
}

/** Mounts a disk at `folder`; null where we may not, as most users may not. */
export function mountSmallDisk(folder: string): SmallDisk | null {
  mkdirSync(folder)
  if (!Bun.which('mount') || run('mount', '-t', 'tmpfs', '-o', 'size=8m', 'none', folder) !== 0)
    return null
  const filling = join(folder, 'filling')
  return {
    folder,
    fill() {
      for (const size of [MIB, 4_096, 1]) addUntilFull(filling, Buffer.alloc(size))
    },
    free: () => rmSync(filling, { force: true }),
    // Lazily: a process that ends may still have a file open.
    [Symbol.dispose]: () => void run('umount', '--lazy', folder),
  }
}

function addUntilFull(path: string, bytes: Buffer): void {
  try {
    for (;;) writeFileSync(path, bytes, { flag: 'a' })
  } catch {
    // The disk is full.
  }
}

function run(...command: string[]): number {
  return Bun.spawnSync(command).exitCode
}
