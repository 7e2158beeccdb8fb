// What the service is for: signups, logins, sessions, and what attacks look like.

import type { Board } from '../board.ts'

const counted = (series: string, label: string) => ({
  expr: `sum by (${label}) (rate(${series}[$__rate_interval]))`,
  legend: `{{${label}}}`,
})

/** Signups, logins, sessions. */
export const AUTH: Board = {
  uid: 'auth',
  title: 'Munjigi · Auth',
  description: 'Signups, logins and refreshes by result, hashing, sessions, reuse, throttles.',
  panels: [
    {
      kind: 'number',
      title: 'Wrong passwords',
      description: 'Per second, mean of five minutes. A spike: runbook LoginBruteForceSpike.',
      unit: 'ops',
      limit: { at: 1, bad: 'above' },
      queries: [{ expr: 'munjigi:login_failures:rate5m', legend: 'wrong' }],
    },
    {
      kind: 'number',
      title: 'Refresh tokens that came back (1 h)',
      description:
        'Each one is theft, or a client that keeps old tokens: runbook RefreshTokenReuse.',
      unit: 'short',
      limit: { at: 1, bad: 'above' },
      queries: [
        { expr: 'sum(increase(munjigi_refreshes_total{result="reused"}[1h]))', legend: 'reused' },
      ],
    },
    {
      kind: 'number',
      title: 'Hashes refused (1 h)',
      description: 'Logins and signups that found the queue full: runbook HashingOverloaded.',
      unit: 'short',
      limit: { at: 1, bad: 'above' },
      queries: [
        { expr: 'sum(increase(munjigi_password_hash_refused_total[1h]))', legend: 'refused' },
      ],
    },
    {
      kind: 'number',
      title: 'Age of the signing key',
      description: 'It rotates by age (MUNJIGI_KEY_ROTATION) or by command.',
      unit: 's',
      queries: [{ expr: 'max(munjigi_signing_key_age_seconds)', legend: 'age' }],
    },
    {
      kind: 'chart',
      title: 'Logins by result',
      description: 'error and overloaded are our faults; every other result is a correct answer.',
      unit: 'ops',
      stacked: true,
      queries: [counted('munjigi_logins_total', 'result')],
    },
    {
      kind: 'chart',
      title: 'Signups by result',
      description: 'Many email_taken: somebody is finding out who has an account here.',
      unit: 'ops',
      stacked: true,
      queries: [counted('munjigi_signups_total', 'result')],
    },
    {
      kind: 'chart',
      title: 'Refreshes by result',
      description: 'repeated: the same token twice within the grace, as when an answer was lost.',
      unit: 'ops',
      stacked: true,
      queries: [counted('munjigi_refreshes_total', 'result')],
    },
    {
      kind: 'chart',
      title: 'Time of a password hash',
      description: 'Waiting excluded. Rises when there are more hashes at once than cores.',
      unit: 's',
      queries: [0.5, 0.95, 0.99].map((q) => ({
        expr: `histogram_quantile(${q}, sum by (le) (rate(munjigi_password_hash_seconds_bucket[$__rate_interval])))`,
        legend: `${q * 100} %`,
      })),
    },
    {
      kind: 'chart',
      title: 'Hashes at work and waiting',
      description: 'All replicas together. A lasting queue means overload.',
      unit: 'short',
      queries: [
        { expr: 'sum(munjigi_password_hash_running)', legend: 'at work' },
        { expr: 'sum(munjigi_password_hash_waiting)', legend: 'waiting' },
      ],
    },
    {
      kind: 'chart',
      title: 'Wait for the pool of threads (99 %)',
      description: 'Hashes, files and cryptography share it: when it is full, all of them wait.',
      unit: 's',
      queries: [
        {
          expr: 'histogram_quantile(0.99, sum by (instance, le) (rate(munjigi_thread_pool_delay_seconds_bucket[$__rate_interval])))',
          legend: '{{instance}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Throttled by rule',
      description: 'Attempts refused because there were too many for a user or an address.',
      unit: 'ops',
      stacked: true,
      queries: [counted('munjigi_throttle_refused_total', 'rule')],
    },
    {
      kind: 'chart',
      title: 'Sessions ended by reason',
      description: 'By decision, not by time. reuse: see above.',
      unit: 'ops',
      stacked: true,
      queries: [counted('munjigi_sessions_ended_total', 'reason')],
    },
    {
      kind: 'chart',
      title: 'Security events',
      description: 'Each is also a line in the log, with its request id.',
      unit: 'ops',
      queries: [counted('munjigi_security_events_total', 'event')],
    },
  ],
}
