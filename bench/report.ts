import { cpus } from "node:os";

/** The result of a row. */
export interface Result {
  section: string;
  what: string;
  against: string;
  unit: string;
  /** The median of the numbers of each side. */
  ours: number;
  theirs: number;
  /** The median and the quartiles of the ratios of all rounds. */
  ratio: number;
  quartiles: [number, number];
  atLeast?: number | undefined;
  atMost?: number | undefined;
}

/** Describes the machine and the versions of the programs. */
export function describeMachine(peers: { version: string }[]): string {
  const [first] = cpus();
  return [
    `${first?.model.trim()}, ${cpus().length} cores`,
    `${Deno.build.os} ${Deno.osRelease()}`,
    ...congestionControl(),
    `Deno ${Deno.version.deno}`,
    ...new Set(peers.map(({ version }) => version).filter(Boolean)),
  ].join("; ");
}

/** Names TCP's congestion control on Linux. It matters on loopback too: BBR is slower there than CUBIC. */
function congestionControl(): string[] {
  if (Deno.build.os !== "linux") return [];
  const path = "/proc/sys/net/ipv4/tcp_congestion_control";
  return [`TCP ${Deno.readTextFileSync(path).trim()}`];
}

/** Formats the limit of a row and whether the ratio keeps it; `""` if there is none. */
function verdict({ ratio, atLeast, atMost }: Result): string {
  if (atLeast !== undefined) {
    return `≥ ${atLeast} ${ratio >= atLeast ? "✓" : "✗"}`;
  }
  if (atMost !== undefined) {
    return `≤ ${atMost} ${ratio <= atMost ? "✓" : "✗"}`;
  }
  return "";
}

function amount(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString("en")
    : value.toPrecision(3);
}

/** Formats the results as a table in Markdown. */
export function table(
  machine: string,
  rounds: number,
  results: Result[],
): string {
  const lines = [`${machine}. Medians of ${rounds} rounds.`, ""];
  let section = "";
  for (const it of results) {
    if (it.section !== section) {
      section = it.section;
      lines.push(
        "",
        `**${section}**`,
        "",
        "| what | against | ours | theirs | ratio | quartiles | to reach |",
        "| --- | --- | --: | --: | --: | --: | --- |",
      );
    }
    const [low, high] = it.quartiles.map((q) => q.toFixed(2));
    lines.push(
      `| ${it.what} | ${it.against} | ${amount(it.ours)} ${it.unit} | ${
        amount(it.theirs)
      } ${it.unit} | ${it.ratio.toFixed(2)} | ${low}-${high} | ${
        verdict(it)
      } |`,
    );
  }
  return lines.join("\n");
}

const ROW = 22;
const BAR = { left: 470, width: 300, most: 3 };

/** Returns the width of the bar of a ratio. Bars of large ratios are cut. */
const x = (ratio: number) =>
  BAR.left + Math.min(ratio, BAR.most) / BAR.most * BAR.width;

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** Draws the results as bars in SVG, with a mark at the limit of each. */
export function chart(machine: string, results: Result[]): string {
  const parts: string[] = [];
  let y = 20;
  let section = "";
  for (const it of results) {
    if (it.section !== section) {
      section = it.section;
      y += 14;
      parts.push(
        `<text class="head" x="10" y="${y}">${escape(section)}</text>`,
      );
      y += ROW;
    }
    const limit = it.atLeast ?? it.atMost;
    const kept = !verdict(it).endsWith("✗");
    parts.push(
      `<text x="20" y="${y}">${escape(it.what)}</text>`,
      `<text class="less" x="${BAR.left - 8}" y="${y}" text-anchor="end">${
        escape(it.against)
      }</text>`,
      `<rect class="${kept ? "kept" : "missed"}" x="${BAR.left}" y="${
        y - 11
      }" width="${(x(it.ratio) - BAR.left).toFixed(1)}" height="14" rx="2"/>`,
      `<text x="${(x(it.ratio) + 6).toFixed(1)}" y="${y}">${
        it.ratio.toFixed(2)
      }</text>`,
    );
    if (limit !== undefined) {
      parts.push(
        `<rect class="mark" x="${x(limit).toFixed(1)}" y="${
          y - 13
        }" width="2" height="18"/>`,
      );
    }
    y += ROW;
  }
  const one = x(1).toFixed(1);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 830 ${
    y + 20
  }" font-family="system-ui, sans-serif" font-size="12">
<style>
text { fill: #1f2328 } .less { fill: #59636e } .head { font-weight: 600 }
.kept { fill: #4c8dd6 } .missed { fill: #d9822b } .mark { fill: #1f2328 } .one { stroke: #8b949e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .less { fill: #9198a1 } .mark { fill: #e6edf3 }
}
</style>
<title>Ratios to what each is compared with</title>
<line class="one" x1="${one}" x2="${one}" y1="10" y2="${
    y - ROW
  }" stroke-dasharray="3 3"/>
${parts.join("\n")}
<text class="less" x="10" y="${y + 8}">${escape(machine)}</text>
</svg>
`;
}
