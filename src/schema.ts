// All feature types joined into the GraphQL schema, in the order in which they need each other.

import type { GraphQLSchema } from 'graphql'
import { lexicographicSortSchema, printSchema } from 'graphql'
import { addFlows } from './flows/graphql.ts'
import type { Services } from './flows/services.ts'
import { createBuilder } from './graphql/builder.ts'
import { addSessions } from './sessions/graphql.ts'
import { addTokens } from './tokens/graphql.ts'
import { addUsers } from './users/graphql.ts'

/** The schema over these services. */
export function createSchema(services: Services): GraphQLSchema {
  const builder = createBuilder()
  const Tokens = addTokens(builder)
  const User = addUsers(builder, services.users)
  const LoggedOut = addSessions(builder, services.sessions)
  addFlows(builder, services, { User, Tokens, LoggedOut })
  return builder.toSchema()
}

/** The contract as text, for `schema.graphql`. */
export function schemaText(schema: GraphQLSchema): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`
}
