// Whether all is well: service levels, the golden signals, the replicas.

import type { Board } from '../board.ts'

/** The first dashboard that is looked at. */
export const OVERVIEW: Board = {
  uid: 'overview',
  title: 'Munjigi · Overview',
  description: 'Whether all is well: service levels, traffic, errors, latency, saturation.',
  panels: [
    {
      kind: 'number',
      title: 'Replicas',
      description:
        'Share of the expected replicas that answer Prometheus. Under 100 %: runbook ReplicaMissing.',
      unit: 'percentunit',
      limit: { at: 1, bad: 'below' },
      queries: [
        {
          expr: 'munjigi:replicas_up:count / munjigi:replicas_expected:count',
          legend: 'answering',
        },
      ],
    },
    {
      kind: 'number',
      title: 'Firing alerts',
      description: 'Alerts that somebody should look at; the watchdog is left out.',
      unit: 'short',
      limit: { at: 1, bad: 'above' },
      queries: [
        {
          expr: 'count(ALERTS{alertstate="firing",alertname!="Watchdog"}) or vector(0)',
          legend: 'firing',
        },
      ],
    },
    {
      kind: 'number',
      title: 'Logins without a fault of ours (1 h)',
      description:
        'The service level is 99.9 % in 30 days. Refusing a wrong password is no fault. –: nobody has tried.',
      unit: 'percentunit',
      max: 1,
      limit: { at: 0.999, bad: 'below' },
      queries: [{ expr: '1 - (munjigi:login_errors:ratio_rate1h >= 0)', legend: 'answered' }],
    },
    {
      kind: 'number',
      title: 'Logins within a second (1 h)',
      description: 'The service level is 99 % in 30 days. –: nobody has tried.',
      unit: 'percentunit',
      max: 1,
      limit: { at: 0.99, bad: 'below' },
      queries: [{ expr: '1 - (munjigi:login_slow:ratio_rate1h >= 0)', legend: 'in time' }],
    },
    {
      kind: 'chart',
      title: 'Requests of each replica',
      description:
        'Without health checks. All replicas should get as many; one that gets none is out.',
      unit: 'reqps',
      queries: [
        {
          expr: 'sum by (instance) (rate(http_requests_total{job="munjigi",route!~"/readyz|/livez"}[$__rate_interval]))',
          legend: '{{instance}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Faults of each replica',
      description: 'Operations that failed by our fault. Anything above 0 spends the error budget.',
      unit: 'reqps',
      queries: [
        {
          expr: 'sum by (instance) (rate(munjigi_graphql_operation_seconds_count{outcome="failed"}[$__rate_interval]))',
          legend: '{{instance}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Latency of each replica (95 %)',
      description: 'GraphQL operations, all kinds. Logins hash a password and take longest.',
      unit: 's',
      queries: [
        {
          expr: 'histogram_quantile(0.95, sum by (instance, le) (rate(munjigi_graphql_operation_seconds_bucket[$__rate_interval])))',
          legend: '{{instance}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Processor of each replica',
      description: 'In cores. Hashing takes what it can get.',
      unit: 'short',
      queries: [
        {
          expr: 'rate(process_cpu_seconds_total{job="munjigi"}[$__rate_interval])',
          legend: '{{instance}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Memory of each replica',
      description: 'Resident. Each hash at work takes 19 MiB; it should not grow from day to day.',
      unit: 'bytes',
      queries: [{ expr: 'process_resident_memory_bytes{job="munjigi"}', legend: '{{instance}}' }],
    },
    {
      kind: 'chart',
      title: 'Budget burnt',
      description:
        'How many times too fast the error budgets are spent; alerts fire at 14.4, 6 and 3.',
      unit: 'short',
      queries: [
        { expr: 'munjigi:login_errors:ratio_rate5m / 0.001', legend: 'faults, 5 min' },
        { expr: 'munjigi:login_slow:ratio_rate5m / 0.01', legend: 'slow, 5 min' },
      ],
    },
  ],
}
