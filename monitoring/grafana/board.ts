// What a dashboard is to us – panels in their order – and how Grafana wants it. The look is decided here, once.

import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import {
  BigValueColorMode,
  BigValueGraphMode,
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
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
} from '@grafana/grafana-foundation-sdk/dashboard'
import {
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as NumberBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as ChartBuilder } from '@grafana/grafana-foundation-sdk/timeseries'

/** One dashboard. */
export interface Board {
  /** Its name in addresses and files. */
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly panels: readonly Panel[]
}

/** One panel. `chart` over time, or one `number` for each series as it is now. */
export interface Panel {
  readonly kind: 'chart' | 'number'
  readonly title: string
  /** What is seen, and what is good or bad about it. */
  readonly description: string
  /** As Grafana names it: `percentunit` (0 to 1), `s`, `bytes`, `Bps`, `reqps`, `short`. */
  readonly unit: Unit
  readonly queries: readonly Query[]
  /** The least and greatest value that make sense. The least is 0 unless it is said. */
  readonly min?: number
  readonly max?: number
  readonly stacked?: boolean
  /** Of a number: where it turns from good to bad, or, with `bad: 'below'`, the other way round. */
  readonly limit?: { readonly at: number; readonly bad: 'above' | 'below' }
}

/** PromQL, and the name of its series with labels in double braces. */
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

/** The data source of all panels, as provisioning/datasources names it. */
export const DATASOURCE = { type: 'prometheus', uid: 'prometheus' }

const COLUMNS = 24
const SIZES = { number: { w: 6, h: 4 }, chart: { w: 8, h: 8 } }

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
  board.panels.forEach((panel, index) => {
    const at = places[index]
    if (at) builder.withPanel(panel.kind === 'number' ? numberOf(panel, at) : chartOf(panel, at))
  })
  return builder.build()
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

function chartOf(panel: Panel, at: GridPos): Builder<GrafanaPanel> {
  const chart = withBasics(new ChartBuilder(), panel, at)
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

function numberOf(panel: Panel, at: GridPos): Builder<GrafanaPanel> {
  return withBasics(new NumberBuilder(), panel, at)
    .graphMode(BigValueGraphMode.Area)
    .colorMode(BigValueColorMode.Value)
    .thresholds(thresholdsOf(panel))
}

/** What every kind of panel has. */
function withBasics<B extends ChartBuilder | NumberBuilder>(
  builder: B,
  panel: Panel,
  at: GridPos,
): B {
  builder
    .title(panel.title)
    .description(panel.description)
    .datasource(DATASOURCE)
    .gridPos(at)
    .unit(panel.unit)
    .min(panel.min ?? 0)
    .noValue('–')
    .targets(panel.queries.map(queryOf))
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
    .datasource(DATASOURCE)
    .expr(expr)
    .legendFormat(legend)
    .range()
}
