// What every container writes, where the profile `logs` runs (docs/operations.md).

import type { Board } from '../board.ts'

/** The levels that call for somebody: of the replicas and of the edge. */
const BAD = 'level:in("error","fatal","critical")'
const CHOSEN = 'service:in($service) level:in($level) event:~"^$event" request_id:~"$request"'

/** Lines of the log, and how many there are. */
export const LOGS: Board = {
  uid: 'logs',
  title: 'Munjigi · Logs',
  description: 'The lines of all containers. Empty unless the profile logs runs.',
  source: 'logs',
  variables: [
    { name: 'service', title: 'Service', values: ['munjigi', 'envoy', 'sqld', 'prometheus'] },
    { name: 'level', title: 'Level', values: ['debug', 'info', 'warning', 'error', 'fatal'] },
    { name: 'event', title: 'Event begins with' },
    { name: 'request', title: 'Request' },
  ],
  panels: [
    {
      kind: 'chart',
      title: 'Errors by service',
      description:
        'A line of the edge counts if it answered 500 or more. Anything above 0 needs a look.',
      unit: 'ops',
      stacked: true,
      queries: [{ expr: `${BAD} | stats by (service) rate() lines`, legend: '{{service}}' }],
    },
    {
      kind: 'chart',
      title: 'Lines by service',
      description: 'Usually the replicas write as many as the edge, and the others hardly any.',
      unit: 'ops',
      stacked: true,
      queries: [{ expr: '* | stats by (service) rate() lines', legend: '{{service}}' }],
    },
    {
      kind: 'chart',
      title: 'Events of the replicas',
      description: 'docs/operations.md, The log, says what each means.',
      unit: 'ops',
      queries: [
        {
          expr: 'service:=munjigi event:!="http.request" event:* | stats by (event) rate() lines',
          legend: '{{event}}',
        },
      ],
    },
    {
      kind: 'lines',
      title: 'Lines',
      description:
        'Newest first, as chosen above. The same request has the same id in the lines of the edge and of the replica, and in the answer to the client.',
      unit: 'none',
      queries: [{ expr: CHOSEN, legend: 'lines' }],
    },
  ],
}
