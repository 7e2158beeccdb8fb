// The edge: the replicas as Envoy sees them, what clients get, and the certificate.

import type { Board } from '../board.ts'

const OURS = 'envoy_cluster_name="munjigi"'
const PUBLIC = 'envoy_http_conn_manager_prefix="edge"'
const quantile = (q: number, series: string) =>
  `histogram_quantile(${q}, sum by (le) (rate(${series}[$__rate_interval]))) / 1000`
const CLIENT_TIME = `envoy_http_downstream_rq_time_bucket{${PUBLIC}}`

/** What Envoy says. */
export const EDGE: Board = {
  uid: 'edge',
  title: 'Munjigi · Edge',
  description: 'State and requests of each replica as Envoy sees them, and what clients get.',
  panels: [
    {
      kind: 'number',
      title: 'Healthy replicas',
      description: 'Of those that the edge knows. 0: runbook EnvoyNoHealthyUpstream.',
      unit: 'short',
      limit: { at: 1, bad: 'below' },
      queries: [{ expr: `envoy_cluster_membership_healthy{${OURS}}`, legend: 'healthy' }],
    },
    {
      kind: 'number',
      title: 'Certificate: days left',
      description: 'It is renewed in its last 30 days by `docker compose run --rm certificates`.',
      unit: 'd',
      limit: { at: 14, bad: 'below' },
      queries: [
        {
          expr: 'min by (envoy_tls_certificate) (envoy_listener_ssl_certificate_expiration_unix_time_seconds - time()) / 86400',
          legend: '{{envoy_tls_certificate}}',
        },
      ],
    },
    {
      kind: 'number',
      title: 'Probe over HTTPS',
      description: '1: a client that trusts our CA gets the keys.',
      unit: 'short',
      max: 1,
      limit: { at: 1, bad: 'below' },
      queries: [{ expr: 'probe_success', legend: 'answered' }],
    },
    {
      kind: 'number',
      title: 'Heap of its limit',
      description:
        'From 85 % on it may end requests that come in pieces (HTTP/1.1); from 92 % on it closes connections after an answer; from 95 % on it refuses requests.',
      unit: 'percent',
      max: 100,
      limit: { at: 60, bad: 'above' },
      queries: [
        {
          expr: 'envoy_overload_envoy_resource_monitors_fixed_heap_pressure',
          legend: 'heap',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'State of each replica',
      description: '1: gets requests. 0: failed its health checks or was ejected.',
      unit: 'short',
      max: 1,
      queries: [
        {
          expr: `envoy_cluster_endpoint_healthy{${OURS}}`,
          legend: '{{envoy_endpoint_address}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Requests to each replica',
      description: 'Round robin: the lines should coincide.',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (envoy_endpoint_address) (rate(envoy_cluster_endpoint_rq_total{${OURS}}[$__rate_interval]))`,
          legend: '{{envoy_endpoint_address}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Errors and timeouts of each replica',
      description: 'Answers of 5xx, resets and timeouts, as the edge counts them.',
      unit: 'reqps',
      queries: [
        {
          expr: `sum by (envoy_endpoint_address) (rate(envoy_cluster_endpoint_rq_error{${OURS}}[$__rate_interval]))`,
          legend: '{{envoy_endpoint_address}} errors',
        },
        {
          expr: `sum by (envoy_endpoint_address) (rate(envoy_cluster_endpoint_rq_timeout{${OURS}}[$__rate_interval]))`,
          legend: '{{envoy_endpoint_address}} timeouts',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Answers to clients by class',
      description: '5xx: faults. 4xx: refusals, of the edge or of a replica.',
      unit: 'reqps',
      stacked: true,
      queries: [
        {
          expr: `sum by (envoy_response_code_class) (rate(envoy_http_downstream_rq_xx{${PUBLIC}}[$__rate_interval]))`,
          legend: '{{envoy_response_code_class}}xx',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Time until clients have their answer',
      description: 'From the first byte of the request to the last of the answer.',
      unit: 's',
      queries: [
        { expr: quantile(0.5, CLIENT_TIME), legend: '50 %' },
        { expr: quantile(0.95, CLIENT_TIME), legend: '95 %' },
        { expr: quantile(0.99, CLIENT_TIME), legend: '99 %' },
      ],
    },
    {
      kind: 'chart',
      title: 'Retries and refusals',
      description: 'Retries hide a dying replica; overflow and refusals reach the client.',
      unit: 'ops',
      queries: [
        {
          expr: `sum(rate(envoy_cluster_upstream_rq_retry{${OURS}}[$__rate_interval]))`,
          legend: 'retries',
        },
        {
          expr: `sum(rate(envoy_cluster_upstream_rq_retry_overflow{${OURS}}[$__rate_interval])) + sum(rate(envoy_cluster_upstream_rq_active_overflow{${OURS}}[$__rate_interval])) + sum(rate(envoy_cluster_upstream_rq_pending_overflow{${OURS}}[$__rate_interval]))`,
          legend: 'overflow',
        },
        {
          expr: 'sum(rate(envoy_http_local_rate_limit_rate_limited{envoy_local_http_ratelimit_prefix="edge"}[$__rate_interval]))',
          legend: 'floods refused',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Health checks and ejections',
      description:
        'Failed checks per second, and replicas that are out because they could not be reached.',
      unit: 'short',
      queries: [
        {
          expr: `sum(rate(envoy_cluster_health_check_failure{${OURS}}[$__rate_interval]))`,
          legend: 'failed checks / s',
        },
        {
          expr: `sum(envoy_cluster_outlier_detection_ejections_active{${OURS}})`,
          legend: 'ejected',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Connections and TLS',
      description:
        'Handshakes cost processor time; errors may come from clients that do not trust the CA.',
      unit: 'short',
      queries: [
        {
          expr: `sum(envoy_http_downstream_cx_active{${PUBLIC}})`,
          legend: 'open connections',
        },
        {
          expr: 'sum(rate(envoy_listener_ssl_handshake[$__rate_interval]))',
          legend: 'handshakes / s',
        },
        {
          expr: 'sum(rate(envoy_listener_ssl_connection_error[$__rate_interval]))',
          legend: 'errors / s',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Memory of the edge',
      description: 'What Envoy allocated, and what it holds.',
      unit: 'bytes',
      queries: [
        { expr: 'envoy_server_memory_allocated', legend: 'allocated' },
        { expr: 'envoy_server_memory_physical_size', legend: 'physical' },
      ],
    },
  ],
}
