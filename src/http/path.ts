// The path of a request. A client may send no Host, or nonsense for one; Bun's URL is then the path alone, or none at all.

/** The path without its query. Bun has resolved dot segments in it and nothing else. */
export function pathOf({ url }: Request): string {
  const start = url.startsWith('/') ? 0 : url.indexOf('/', url.indexOf('//') + 2)
  if (start < 0) return '/'
  const end = url.slice(start).search(/[?#]/)
  return end < 0 ? url.slice(start) : url.slice(start, start + end)
}
