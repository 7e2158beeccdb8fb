// The short lane beside Yoga: a text that Yoga has accepted before is executed by Yoga's own engine, with its context and
// execute hooks, but is not parsed and validated again and takes none of the ways that Yoga has for other requests.
// So nothing may be a validation rule that depends on who asks: a text accepted for one is executed for all.

import type { DocumentNode, ExecutionResult } from 'graphql'
import { GraphQLError, getOperationAST } from 'graphql'
import type { Plugin, YogaServerInstance } from 'graphql-yoga'
import type { Operation } from './context.ts'
import type { AcceptedTexts } from './documents.ts'

/** Executes an operation if its text was accepted before; else undefined, and Yoga is asked. Never throws. */
export type Lane = (operation: Operation) => Promise<ExecutionResult> | undefined

/** Yoga's engine: its functions for one request, with the hooks of all plugins. */
type Engine = ReturnType<YogaServerInstance<Operation, object>['getEnveloped']>

/** Remembers what Yoga accepts, as long as its schema stays. */
export function useAccepted(accepted: AcceptedTexts): Plugin<Operation> {
  return {
    onValidate({ params: { documentAST }, context }) {
      const { query } = context.params
      return ({ valid }) => {
        if (valid) accepted.set(query, documentAST)
      }
    },
    onSchemaChange: () => accepted.clear(),
  }
}

/** Makes the lane. `getEnveloped`: Yoga's, read once, since reading a property of Yoga makes a new function each time. */
export function createLane(
  getEnveloped: (operation: Operation) => Engine,
  accepted: AcceptedTexts,
): Lane {
  return (operation) => {
    const { query, operationName } = operation.params
    const document = accepted.get(query)
    // Which operation is meant may still be wrong: Yoga says so.
    if (!document || !getOperationAST(document, operationName)) return undefined
    return execute(getEnveloped(operation), document, operation)
  }
}

async function execute(
  engine: Engine,
  document: DocumentNode,
  { params }: Operation,
): Promise<ExecutionResult> {
  try {
    return await engine.execute({
      schema: engine.schema,
      document,
      contextValue: await engine.contextFactory(),
      variableValues: params.variables,
      operationName: params.operationName,
    })
  } catch (error) {
    // A fault of the engine or of a hook, not of a resolver. As a result it passes the gate, like all others.
    return { errors: [new GraphQLError('engine', { originalError: toError(error) })] }
  }
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(typeof thrown)
}
