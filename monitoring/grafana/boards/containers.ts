// Each container, by its name.

import type { Board } from '../board.ts'

const each = (series: string) => `sum by (name) (rate(${series}{name!=""}[$__rate_interval]))`

/** What each container takes. */
export const CONTAINERS: Board = {
  uid: 'containers',
  title: 'Munjigi · Containers',
  description:
    'Processor, memory, disk and network of each container. Without containers (npm run up) it is empty.',
  panels: [
    {
      kind: 'chart',
      title: 'Processor',
      description: 'In cores.',
      unit: 'short',
      queries: [{ expr: each('container_cpu_usage_seconds_total'), legend: '{{name}}' }],
    },
    {
      kind: 'chart',
      title: 'Memory',
      description: 'The working set: memory that cannot be reclaimed.',
      unit: 'bytes',
      queries: [
        {
          expr: 'sum by (name) (container_memory_working_set_bytes{name!=""})',
          legend: '{{name}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Memory of its limit',
      description: 'At 1 the kernel kills the container.',
      unit: 'percentunit',
      max: 1,
      queries: [
        {
          expr: 'sum by (name) (container_memory_working_set_bytes{name!=""}) / sum by (name) (container_spec_memory_limit_bytes{name!=""} > 0)',
          legend: '{{name}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Received',
      description: 'Over the network, all interfaces of the container.',
      unit: 'Bps',
      queries: [{ expr: each('container_network_receive_bytes_total'), legend: '{{name}}' }],
    },
    {
      kind: 'chart',
      title: 'Sent',
      description: 'Over the network, all interfaces of the container.',
      unit: 'Bps',
      queries: [{ expr: each('container_network_transmit_bytes_total'), legend: '{{name}}' }],
    },
    {
      kind: 'chart',
      title: 'Disk',
      description: 'Read and written; reads from the page cache are not counted.',
      unit: 'Bps',
      queries: [
        { expr: each('container_fs_reads_bytes_total'), legend: '{{name}} read' },
        { expr: each('container_fs_writes_bytes_total'), legend: '{{name}} written' },
      ],
    },
    {
      kind: 'chart',
      title: 'Ended for lack of memory (1 h)',
      description:
        'Processes of all containers and of the host. Anything above 0: runbook OutOfMemoryKill.',
      unit: 'short',
      // cAdvisor reads of it in the kernel's log, which it is not given: its own count is always 0.
      queries: [{ expr: 'increase(node_vmstat_oom_kill[1h])', legend: 'ended' }],
    },
    {
      kind: 'chart',
      title: 'Running for',
      description: 'Falls to 0 when a container is started again.',
      unit: 's',
      queries: [
        {
          expr: 'time() - max by (name) (container_start_time_seconds{name!=""})',
          legend: '{{name}}',
        },
      ],
    },
  ],
}
