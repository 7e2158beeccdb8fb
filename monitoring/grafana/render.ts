// `npm run dashboards`: writes the dashboards as Grafana reads them. The files are committed; a test compares.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Board } from './board.ts'
import { build } from './board.ts'
import { AUTH } from './boards/auth.ts'
import { CONTAINERS } from './boards/containers.ts'
import { DATABASE } from './boards/database.ts'
import { EDGE } from './boards/edge.ts'
import { HOST } from './boards/host.ts'
import { LOGS } from './boards/logs.ts'
import { OVERVIEW } from './boards/overview.ts'

/** All dashboards, in the order in which one looks. */
export const BOARDS: readonly Board[] = [OVERVIEW, EDGE, AUTH, DATABASE, CONTAINERS, HOST, LOGS]

/** The path of a dashboard's file. */
export function fileOf({ uid }: Board): string {
  return join(import.meta.dir, 'dashboards', `${uid}.json`)
}

/** The text of a dashboard's file. */
export function print(board: Board): string {
  return `${JSON.stringify(build(board), null, 2)}\n`
}

if (import.meta.main) for (const board of BOARDS) writeFileSync(fileOf(board), print(board))
