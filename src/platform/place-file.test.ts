import { afterAll, expect, test } from 'bun:test'
import { linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { giveToOwnerOf, rewindable } from './place-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'munjigi-place-'))
afterAll(() => rmSync(folder, { recursive: true }))

const bytes = (text: string) => new TextEncoder().encode(text)

test('a file that was rewound holds what was written since, and nothing else', async () => {
  const path = join(folder, 'rewound')
  await using handle = await open(path, 'wx')
  const file = rewindable(handle)
  await file.write(bytes('the first try, '))
  await file.write(bytes('which is longer'))
  await file.rewind()
  await file.write(bytes('the '))
  await file.write(bytes('second'))
  expect(readFileSync(path, 'utf8')).toBe('the second')
})

test('what one call to the system did not write, the next ones do', async () => {
  const written: string[] = []
  const path = join(folder, 'slow')
  await using handle = await open(path, 'wx')
  const write = handle.write.bind(handle)
  handle.write = ((data: Uint8Array, from: number, length: number, position: number) => {
    written.push(new TextDecoder().decode(data.subarray(from, from + length)))
    return write(data, from, Math.min(length, 3), position)
  }) as typeof handle.write
  await rewindable(handle).write(bytes('seven w'))
  expect(readFileSync(path, 'utf8')).toBe('seven w')
  expect(written).toEqual(['seven w', 'en w', 'w'])
})

test.each([
  ['a symbolic link', symlinkSync],
  ['a hard link', linkSync],
])('%s in the place of a file is not given to anybody', async (what, link) => {
  const [secret, draft] = [join(folder, `secret of ${what}`), join(folder, `draft of ${what}`)]
  writeFileSync(secret, '')
  link(secret, draft)
  await expect(giveToOwnerOf(folder, draft)).rejects.toThrow(/symbolic link|replaced by another/)
})
