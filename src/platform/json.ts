// Reading JSON from strangers. The parser of JavaScriptCore gives every object a place for each number below its highest name: of
// `{"999":1}` it makes eight kilobytes, and of a body of 100 KiB 80 megabytes.

/** Objects, lists and members. An envelope of GraphQL has a dozen, a token as many. */
const MOST_PARTS = 200
/** Too short for so many objects that they take much memory, and most texts are: they are not looked through. */
const SHORT = 1_024

/** Compared as codes: a text that is read by characters makes one of each letter beyond Latin, and takes twelve times as long. */
const [QUOTE, BACKSLASH, BRACE, BRACKET, COLON] = Buffer.from('"\\{[:')

/** Whether a value of JSON is an object: neither a list nor null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value of a JSON text. Throws where it has too many parts, and `SyntaxError`. */
export function parseJson(text: string): unknown {
  if (text.length > SHORT && hasTooManyParts(text)) throw new Error('too many parts')
  return JSON.parse(text)
}

/** Looks at what is outside of strings. In a text that is not JSON it may miscount; the parser refuses that one. */
function hasTooManyParts(text: string): boolean {
  let parts = 0
  let inString = false
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === BACKSLASH) at += 1
    else if (code === QUOTE) inString = !inString
    else if (!inString && (code === BRACE || code === BRACKET || code === COLON)) parts += 1
    if (parts > MOST_PARTS) return true
  }
  return false
}
