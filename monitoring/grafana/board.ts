// What a dashboard is to us – panels in their order – and how Grafana wants it. The look is decided here, once.

import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog'
import {
  BigValueColorMode,
  BigValueGraphMode,
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
  LogsSortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common'
import type {
  Dashboard,
  Panel as GrafanaPanel,
  GridPos,
  VariableModel,
} from '@grafana/grafana-foundation-sdk/dashboard'
import {
  CustomVariableBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  TextBoxVariableBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { PanelBuilder as LinesBuilder } from '@grafana/grafana-foundation-sdk/logs'
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as NumberBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as ChartBuilder } from '@grafana/grafana-foundation-sdk/timeseries'

/** One dashboard. */
export interface Board {
  /** Its name in addresses and files. */
  readonly uid: string
  readonly title: string
  readonly description: string
  /** Where its queries go; `metrics` unless it is said. */
  readonly source?: Source
  /** What is chosen above its panels. */
  readonly variables?: readonly Variable[]
  readonly panels: readonly Panel[]
}

/** One of a few values, or all of them; without `values`, any text. A query has it as `$name`. */
export interface Variable {
  readonly name: string
  readonly title: string
  readonly values?: readonly string[]
}

/** One panel. `chart` over time, one `number` for each series as it is now, or `lines` of the log. */
export interface Panel {
  readonly kind: 'chart' | 'number' | 'lines'
  readonly title: string
  /** What is seen, and what is good or bad about it. */
  readonly description: string
  /** As Grafana names it: `percentunit` (0 to 1), `s`, `bytes`, `Bps`, `reqps`, `short`. */
  readonly unit: Unit
  readonly queries: readonly Query[]
  /** The greatest value that makes sense; the least is 0. */
  readonly max?: number
  readonly stacked?: boolean
  /** Of a number: where it turns from good to bad, or, with `bad: 'below'`, the other way round. */
  readonly limit?: { readonly at: number; readonly bad: 'above' | 'below' }
}

/** PromQL, or LogsQL of a board of logs, and the name of its series with labels in double braces. */
export interface Query {
  readonly expr: string
  readonly legend: string
}

/** Units that are used. */
export type Unit =
  | 'percentunit'
  | 'percent'
  | 's'
  | 'd'
  | 'bytes'
  | 'Bps'
  | 'reqps'
  | 'ops'
  | 'short'
  | 'none'

/** The data sources of all panels, as provisioning/datasources names them. */
export const DATASOURCES = {
  metrics: { type: 'prometheus', uid: 'prometheus' },
  logs: { type: 'victoriametrics-logs-datasource', uid: 'logs' },
}

type Source = keyof typeof DATASOURCES

const COLUMNS = 24
const SIZES = { number: { w: 6, h: 4 }, chart: { w: 8, h: 8 }, lines: { w: 24, h: 16 } }
const KINDS = { number: numberOf, chart: chartOf, lines: linesOf }

/** The model that Grafana reads. */
export function build(board: Board): Dashboard {
  const builder = new DashboardBuilder(board.title)
    .uid(board.uid)
    .description(board.description)
    .tags(['munjigi'])
    .readonly()
    .tooltip(DashboardCursorSync.Crosshair)
    .time({ from: 'now-15m', to: 'now' })
    .refresh('10s')
    .timezone('browser')
    .link(
      new DashboardLinkBuilder('Munjigi')
        .type(DashboardLinkType.Dashboards)
        .tags(['munjigi'])
        .keepTime(true),
    )
  const places = layOut(board.panels)
  for (const variable of board.variables ?? []) builder.withVariable(variableOf(variable))
  board.panels.forEach((panel, index) => {
    const at = places[index]
    if (at) builder.withPanel(KINDS[panel.kind](panel, at, board.source ?? 'metrics'))
  })
  return builder.build()
}

function variableOf({ name, title, values }: Variable): Builder<VariableModel> {
  if (!values) return new TextBoxVariableBuilder(name).label(title).defaultValue('')
  return new CustomVariableBuilder(name)
    .label(title)
    .values(values.join(','))
    .multi(true)
    .includeAll(true)
    .allValue('*')
    .current({ text: 'All', value: '$__all' })
}

/** From left to right; a new row where the next one does not fit, or is of another height. */
function layOut(panels: readonly Panel[]): readonly GridPos[] {
  let [x, y, height] = [0, 0, 0]
  return panels.map(({ kind }) => {
    const { w, h } = SIZES[kind]
    if (x + w > COLUMNS || (height !== 0 && h !== height)) [x, y] = [0, y + height]
    height = h
    const at = { x, y, w, h }
    x += w
    return at
  })
}

function chartOf(panel: Panel, at: GridPos, source: Source): Builder<GrafanaPanel> {
  const chart = withBasics(new ChartBuilder(), panel, at, source)
    .drawStyle(GraphDrawStyle.Line)
    .lineWidth(1)
    .fillOpacity(panel.stacked ? 40 : 10)
    .showPoints(VisibilityMode.Never)
    .legend(
      new VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi))
  if (panel.stacked) chart.stacking(new StackingConfigBuilder().mode(StackingMode.Normal))
  return chart
}

function numberOf(panel: Panel, at: GridPos, source: Source): Builder<GrafanaPanel> {
  return withBasics(new NumberBuilder(), panel, at, source)
    .graphMode(BigValueGraphMode.Area)
    .colorMode(BigValueColorMode.Value)
    .thresholds(thresholdsOf(panel))
}

function linesOf(panel: Panel, at: GridPos, source: Source): Builder<GrafanaPanel> {
  return withBasics(new LinesBuilder(), panel, at, source)
    .showTime(true)
    .wrapLogMessage(true)
    .enableLogDetails(true)
    .sortOrder(LogsSortOrder.Descending)
}

/** What every kind of panel has. */
function withBasics<B extends ChartBuilder | NumberBuilder | LinesBuilder>(
  builder: B,
  panel: Panel,
  at: GridPos,
  source: Source,
): B {
  builder
    .title(panel.title)
    .description(panel.description)
    .datasource(DATASOURCES[source])
    .gridPos(at)
    .unit(panel.unit)
    .min(0)
    .noValue('–')
    .targets(panel.queries.map(source === 'logs' ? logsQueryOf(panel.kind) : queryOf))
  if (panel.max !== undefined) builder.max(panel.max)
  return builder
}

function thresholdsOf({ limit }: Panel): ThresholdsConfigBuilder {
  const [low, high] = limit?.bad === 'below' ? ['red', 'green'] : ['green', 'red']
  const steps = limit ? [{ value: limit.at, color: high }] : []
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps([{ value: null, color: limit ? low : 'blue' }, ...steps])
}

function queryOf({ expr, legend }: Query, index: number): DataqueryBuilder {
  return new DataqueryBuilder()
    .refId(String.fromCharCode(65 + index))
    .datasource(DATASOURCES.metrics)
    .expr(expr)
    .legendFormat(legend)
    .range()
}

/** As the plugin of VictoriaLogs wants it, of which the SDK does not know. */
function logsQueryOf(kind: Panel['kind']) {
  return ({ expr, legend }: Query, index: number): Builder<Dataquery> => ({
    build: () => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCES.logs,
      editorMode: 'code',
      expr,
      legendFormat: legend,
      queryType: kind === 'lines' ? 'instant' : 'statsRange',
      _implementsDataqueryVariant() {},
    }),
  })
}
