// Parsing and validating, within limits, and remembering what was accepted. graphql-js has the limits; Yoga has no options
// for them, so its parse and validate functions are set here.

import type { DocumentNode, GraphQLSchema, ParseOptions, Source, ValidationRule } from 'graphql'
import {
  GraphQLError,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  ValuesOfCorrectTypeRule,
  validate,
} from 'graphql'
import { AuthError } from '../errors.ts'
import type { Recent } from '../platform/recent.ts'
import { createRecent } from '../platform/recent.ts'
import { exceededLimit, hasTooManyLines, LIMITS, tooComplex } from './limits.ts'

/** Parses within the token limit. Throws coded errors that keep the position and echo nothing. */
export function parseDocument(source: string | Source, options?: ParseOptions): DocumentNode {
  if (hasTooManyLines(typeof source === 'string' ? source : source.body)) throw tooComplex('tokens')
  try {
    return parse(source, { ...options, maxTokens: LIMITS.tokens })
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error
    if (error.message === TOO_MANY_TOKENS) throw tooComplex('tokens')
    throw new GraphQLError('syntax', {
      source: error.source,
      positions: error.positions,
      originalError: new AuthError('GRAPHQL_PARSE_FAILED'),
    })
  }
}

const TOO_MANY_TOKENS = `Syntax Error: Document contains more than ${LIMITS.tokens} tokens. Parsing aborted.`
/** The message of the rule that compares fields in pairs, when it exceeds a limit of its own. */
const TOO_MANY_PAIRS = 'Validation aborted.'

/** A validate function: our limits first, and only within them GraphQL's own rules, which cost more; the first fault only. */
export function createValidate(options: {
  introspection: boolean
}): (schema: GraphQLSchema, document: DocumentNode) => readonly GraphQLError[] {
  const rules = [
    ...(options.introspection ? [] : [NoSchemaIntrospectionCustomRule]),
    ...specifiedRules.map((rule) => (rule === ValuesOfCorrectTypeRule ? quietValuesRule : rule)),
  ]
  return (schema, document) => {
    const exceeded = exceededLimit(document, schema)
    if (exceeded) return [tooComplex(exceeded)]
    const [first] = validate(schema, document, rules, {
      hideSuggestions: !options.introspection,
      maxErrors: 1,
    })
    if (!first) return []
    if (first.message === TOO_MANY_PAIRS) return [tooComplex('tokens')]
    return [
      new GraphQLError(first.message, {
        nodes: first.nodes,
        extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
      }),
    ]
  }
}

/** The rule about literal values, with a message that does not repeat them: a password without quotes would be one. */
const quietValuesRule: ValidationRule = (context) =>
  ValuesOfCorrectTypeRule(
    Object.create(context, {
      reportError: {
        value: ({ nodes }: GraphQLError) =>
          context.reportError(new GraphQLError('A value has the wrong type.', { nodes })),
      },
    }),
  )

/** The longest text that is remembered, in characters. */
const MAX_TEXT = 4_096
/** The characters of all texts in one of the two generations of the memory. Parsed, a character takes some 150 bytes. */
const MAX_TEXTS = 65_536

/** Documents that were found valid, by their exact text: what the short lane may execute. */
export type AcceptedTexts = Recent<DocumentNode>

/**
 * Remembers a few short texts. Those with string literals are not kept: they may hold a password, and they rarely come
 * twice.
 */
export function createAcceptedTexts(): AcceptedTexts {
  const recent = createRecent<DocumentNode>(MAX_TEXTS, ({ length }) => length)
  return {
    ...recent,
    set(text, document) {
      if (text.length <= MAX_TEXT && !text.includes('"')) recent.set(text, document)
    },
  }
}
