// The machine under all of it.

import type { Board } from '../board.ts'

/** Processor, memory, disk and network of the host. */
export const HOST: Board = {
  uid: 'host',
  title: 'Munjigi · Host',
  description: 'Processor, memory, disk and network of the machine.',
  panels: [
    {
      kind: 'chart',
      title: 'Processor',
      description: 'Share of all cores, by what they do.',
      unit: 'percentunit',
      max: 1,
      stacked: true,
      queries: [
        {
          expr: 'sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval])) / on() group_left() count(count by (cpu) (node_cpu_seconds_total))',
          legend: '{{mode}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Load',
      description: 'Processes that want a core. Above the number of cores they wait.',
      unit: 'short',
      queries: [
        { expr: 'node_load1', legend: 'load, 1 min' },
        { expr: 'count(count by (cpu) (node_cpu_seconds_total))', legend: 'cores' },
      ],
    },
    {
      kind: 'chart',
      title: 'Memory in use',
      description: 'Without memory that can be reclaimed.',
      unit: 'percentunit',
      max: 1,
      queries: [
        {
          expr: '1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes',
          legend: 'in use',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Disk',
      description: 'Read from and written to each disk.',
      unit: 'Bps',
      queries: [
        {
          expr: 'sum by (device) (rate(node_disk_read_bytes_total[$__rate_interval]))',
          legend: '{{device}} read',
        },
        {
          expr: 'sum by (device) (rate(node_disk_written_bytes_total[$__rate_interval]))',
          legend: '{{device}} written',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Disk busy',
      description: 'Share of the time in which a disk had work.',
      unit: 'percentunit',
      max: 1,
      queries: [
        {
          expr: 'sum by (device) (rate(node_disk_io_time_seconds_total[$__rate_interval]))',
          legend: '{{device}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Disk free',
      description: 'Share of each file system: runbook DiskFilling.',
      unit: 'percentunit',
      max: 1,
      queries: [
        {
          expr: 'min by (mountpoint) (node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"} / node_filesystem_size_bytes)',
          legend: '{{mountpoint}}',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Network',
      description: 'Received and sent over each interface of the host.',
      unit: 'Bps',
      queries: [
        {
          expr: 'sum by (device) (rate(node_network_receive_bytes_total[$__rate_interval]))',
          legend: '{{device}} received',
        },
        {
          expr: 'sum by (device) (rate(node_network_transmit_bytes_total[$__rate_interval]))',
          legend: '{{device}} sent',
        },
      ],
    },
    {
      kind: 'chart',
      title: 'Waiting',
      description: 'Share of the time in which something waited for the processor or the disk.',
      unit: 'percentunit',
      max: 1,
      queries: [
        {
          expr: 'rate(node_pressure_cpu_waiting_seconds_total[$__rate_interval])',
          legend: 'processor',
        },
        { expr: 'rate(node_pressure_io_waiting_seconds_total[$__rate_interval])', legend: 'disk' },
      ],
    },
  ],
}
