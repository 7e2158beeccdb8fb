// The database, as the replicas feel it and as sqld counts.

import type { Board } from '../board.ts'

const time = (q: number, kind: string) => ({
  expr: `histogram_quantile(${q}, sum by (le) (rate(munjigi_database_statement_seconds_bucket{kind="${kind}"}[$__rate_interval])))`,
  legend: `${kind} ${q * 100} %`,
})

/** libSQL. */
export const DATABASE: Board = {
  uid: 'database',
  title: 'Munjigi · Database',
  description: 'The database as the replicas see it, and as sqld counts.',
  panels: [
    {
      kind: 'number',
      title: 'Last write (worst replica)',
      description:
        'Each replica writes every second. Over 3 s it is not ready; runbook DatabaseUnwritable.',
      unit: 's',
      limit: { at: 3, bad: 'above' },
      queries: [{ expr: 'max(munjigi_database_write_age_seconds)', legend: 'ago' }],
    },
    {
      kind: 'number',
      title: 'News of ended sessions (worst replica)',
      description:
        'How long ago a replica last learned which sessions ended; usually under a second.',
      unit: 's',
      limit: { at: 3, bad: 'above' },
      queries: [{ expr: 'max(munjigi_ended_sessions_lag_seconds)', legend: 'ago' }],
    },
    {
      kind: 'number',
      title: 'Size',
      description: 'Of the database on disk, as sqld counts it.',
      unit: 'bytes',
      queries: [{ expr: 'sum(libsql_server_storage)', legend: 'size' }],
    },
    {
      kind: 'number',
      title: 'Connections',
      description: 'Open at sqld.',
      unit: 'short',
      queries: [{ expr: 'sum(libsql_server_concurrent_connections)', legend: 'open' }],
    },
    {
      kind: 'chart',
      title: 'Time of a statement',
      description: 'Waiting and retries included. Writes of all replicas wait in one queue.',
      unit: 's',
      queries: [time(0.5, 'read'), time(0.99, 'read'), time(0.5, 'write'), time(0.99, 'write')],
    },
    {
      kind: 'chart',
      title: 'Statements',
      description: 'Per second, all replicas together.',
      unit: 'ops',
      queries: [
        {
          expr: 'sum by (kind) (rate(munjigi_database_statement_seconds_count[$__rate_interval]))',
          legend: '{{kind}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Retries',
      description: 'Statements repeated because the database was busy.',
      unit: 'ops',
      queries: [
        {
          expr: 'sum by (kind) (rate(munjigi_database_retries_total[$__rate_interval]))',
          legend: '{{kind}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Queries at sqld',
      description: 'What sqld counts, reads and writes.',
      unit: 'ops',
      queries: [
        { expr: 'sum(rate(libsql_server_reads_count[$__rate_interval]))', legend: 'reads' },
        { expr: 'sum(rate(libsql_server_writes_count[$__rate_interval]))', legend: 'writes' },
      ],
    },
    {
      kind: 'chart',
      title: 'Frames of the log',
      description: 'Grows with every write. If a replica of sqld stays behind: runbook SqldLag.',
      unit: 'short',
      queries: [{ expr: 'libsql_server_current_frame_no', legend: '{{role}} {{namespace}}' }],
    },
  ],
}
