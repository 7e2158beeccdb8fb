// Numbers that somebody types behind a command.

/** The whole number from 1 on in `text`, or `usual` where nothing was typed. Anything else ends the program with 64. */
export function wholeNumber(text: string | undefined, usual: number): number {
  if (text === undefined) return usual
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text)
  console.error(`${JSON.stringify(text)} is no whole number from 1 on`)
  process.exit(64)
}
