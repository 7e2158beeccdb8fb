// The short lane beside Yoga: a text that Yoga has accepted before is executed by the same executor, but without being parsed and
// validated again, and without the rest of Yoga.
// So no validation rule may depend on who asks: a text accepted for one client is executed for all.

import { normalizedExecutor } from '@graphql-tools/executor'
import type { ExecutionResult, GraphQLSchema } from 'graphql'
import { GraphQLError } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { Operation } from './context.ts'
import type { AcceptedTexts } from './documents.ts'
import type { OperationTimer } from './operations.ts'

/** Executes an operation if its text was accepted before; else undefined, and Yoga is asked. Never throws. */
export type Lane = (operation: Operation) => Promise<ExecutionResult> | undefined

/** What the lane executes with. */
export interface LaneOptions {
  readonly schema: GraphQLSchema
  readonly accepted: AcceptedTexts
  readonly time: OperationTimer
}

/** Remembers what Yoga accepts. */
export function useAccepted(accepted: AcceptedTexts): Plugin<Operation> {
  return {
    onValidate({ params: { documentAST }, context }) {
      const { query } = context.params
      return ({ valid }) => {
        if (valid) accepted.set(query, documentAST)
      }
    },
  }
}

/** Makes the lane. */
export function createLane({ schema, accepted, time }: LaneOptions): Lane {
  return (operation) => {
    const { query, operationName, variables: variableValues } = operation.params
    const document = accepted.get(query)
    const end = document && time(document, operationName)
    // The text may not have the operation that is meant: Yoga says so.
    if (!end) return undefined
    return execute(
      { schema, document, contextValue: operation, variableValues, operationName },
      end,
    )
  }
}

async function execute(
  args: Parameters<typeof normalizedExecutor>[0],
  end: (result: ExecutionResult) => void,
): Promise<ExecutionResult> {
  try {
    // Neither streams nor deferred parts exist here.
    const result = (await normalizedExecutor(args)) as ExecutionResult
    end(result)
    return result
  } catch (error) {
    // A fault of the executor, not of a resolver. As a result it passes the gate, like all others.
    return { errors: [new GraphQLError('executor', { originalError: toError(error) })] }
  }
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(typeof thrown)
}
