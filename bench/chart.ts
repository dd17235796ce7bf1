/**
 * Draws the chart of the README: the rows of the bench that have a label, as the
 * number of times that wstap is faster than what it is compared with.
 *
 * @module
 */

import * as vega from "npm:vega@6.4.0";
import { compile, type TopLevelSpec } from "npm:vega-lite@6.5.0";
import type { Result } from "./report.ts";

/** The width of the picture in pixels, at which it is readable. */
const WIDTH = 700;

/** The width of the column of labels. */
const LABELS = 300;

/** The colours of what is faster and slower, which can be told apart by the colour-blind, on light and on dark. */
const FASTER = "#3b82c4";
const SLOWER = "#d9822b";

// The colours of everything else. A style sheet replaces them in dark mode.
const TEXT = "#1f2328";
const LESS = "#59636e";
const GRID = "#d1d9e0";
const DARK: Record<string, string> = {
  [TEXT]: "#e6edf3",
  [LESS]: "#9aa4af",
  [GRID]: "#3d444d",
};

/** How many times faster wstap is: the ratio, or its inverse where less is better. */
export function factor({ ratio, unit }: Result): number {
  return unit === "messages/s" ? ratio : 1 / ratio;
}

function shown(value: number): string {
  return `${value >= 10 ? value.toFixed(0) : value.toPrecision(2)}×`;
}

/** Draws the chart as SVG. */
export async function chart(results: readonly Result[]): Promise<string> {
  const values = results.filter(({ label }) => label !== undefined)
    .map((it, index) => {
      const value = factor(it);
      return {
        index, // some have the same label
        name: it.label,
        against: `against ${it.againstLabel ?? it.against}`,
        value,
        shown: shown(value),
        color: value >= 1 ? FASTER : SLOWER,
      };
    });
  const largest = Math.max(2, ...values.map(({ value }) => value));
  const smallest = Math.min(0.5, ...values.map(({ value }) => value));
  // Room for the text beside the outermost marks.
  const domain = [
    2 ** Math.floor(Math.log2(smallest) - 1),
    2 ** Math.ceil(Math.log2(largest) + 1),
  ];
  const ticks = [];
  for (let tick = domain[0]!; tick <= domain[1]!; tick *= 2) ticks.push(tick);
  const y = { field: "index", type: "ordinal", axis: null } as const;
  const x = {
    field: "value",
    type: "quantitative",
    scale: { type: "log", base: 2, domain, nice: false },
    axis: {
      values: ticks,
      labelExpr: "datum.value < 1 ? '1/' + 1 / datum.value : datum.value + '×'",
      title: null,
      labelFontSize: 12,
      labelColor: LESS,
      gridColor: GRID,
      domainColor: GRID,
      tickColor: GRID,
    },
  } as const;
  const label = (field: string, dy: number, color: string, size: number) => ({
    mark: { type: "text", align: "left", fontSize: size, color, dy },
    encoding: {
      y,
      x: { value: -LABELS },
      text: { field, type: "nominal" },
    },
  });
  const side = (text: string, align: "left" | "right", value: number) => ({
    data: { values: [{}] },
    mark: {
      type: "text",
      align,
      fontSize: 13,
      fontWeight: "bold",
      color: align === "left" ? SLOWER : FASTER,
    },
    encoding: {
      text: { value: text },
      x: { value },
      y: { value: -12 },
    },
  });
  const plot = WIDTH - LABELS - 20;
  const spec = {
    background: null,
    width: plot,
    height: { step: 44 },
    padding: 10,
    config: {
      view: { stroke: null },
      font: "system-ui, -apple-system, Segoe UI, sans-serif",
    },
    data: { values },
    layer: [
      {
        mark: { type: "rule", size: 7 },
        encoding: {
          y,
          x,
          x2: { datum: 1 },
          color: { field: "color", type: "nominal", scale: null },
        },
      },
      {
        data: { values: [{}] },
        mark: { type: "rule", color: TEXT },
        encoding: { x: { datum: 1, type: "quantitative" } },
      },
      {
        mark: { type: "point", filled: true, size: 110, opacity: 1 },
        encoding: {
          y,
          x,
          color: { field: "color", type: "nominal", scale: null },
        },
      },
      ...(["left", "right"] as const).map((align) => ({
        transform: [{
          filter: `datum.value ${align === "left" ? ">=" : "<"} 1`,
        }],
        mark: {
          type: "text",
          align,
          dx: align === "left" ? 11 : -11,
          fontSize: 13,
          fontWeight: "bold",
          color: TEXT,
        },
        encoding: { y, x, text: { field: "shown", type: "nominal" } },
      })),
      label("name", -7, TEXT, 13),
      label("against", 9, LESS, 12),
      side("← slower", "left", 0),
      side("faster →", "right", plot),
    ],
  };
  const { spec: compiled } = compile(spec as unknown as TopLevelSpec);
  const view = new vega.View(vega.parse(compiled), { renderer: "none" });
  const svg = await view.toSVG();
  view.finalize();
  const rules = Object.entries(DARK).map(([light, dark]) =>
    `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`
  );
  const style =
    `<title>How many times faster wstap is than what it is compared with</title>` +
    `<style>@media (prefers-color-scheme:dark){${rules.join("")}}</style>`;
  return svg.replace(/^<svg[^>]*>/, (tag) => tag + style) + "\n";
}

if (import.meta.main) {
  const here = (name: string) => new URL(name, import.meta.url);
  const { results } = JSON.parse(
    await Deno.readTextFile(here("results.json")),
  );
  await Deno.writeTextFile(here("results.svg"), await chart(results));
}
