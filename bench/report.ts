import { cpus } from "node:os";

/** The result of a row. */
export interface Result {
  section: string;
  what: string;
  against: string;
  /** The label in the chart. Rows without one are not in it. */
  label?: string | undefined;
  /** What stands below the label, if not `against`. */
  againstLabel?: string | undefined;
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
    `${Deno.build.os} ${Deno.osRelease().replace(/-.*/, "")}`,
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

/** Formats the results as a short table for users: what, against what, and the ratio. */
export function shortTable(
  machine: string,
  rounds: number,
  results: Result[],
): string {
  const lines = [
    `Medians of ${rounds} rounds. ${machine}.`,
    "",
    "| What | Against | Ratio | Better is |",
    "| --- | --- | --: | --- |",
  ];
  let section = "";
  for (const { section: name, what, against, ratio, unit } of results) {
    if (/ceiling/.test(name)) continue; // it is about the bench itself
    if (name !== section) {
      section = name;
      lines.push(`| **${section}** | | | |`);
    }
    const better = unit === "messages/s" ? "more" : "less";
    lines.push(`| ${what} | ${against} | ${ratio.toFixed(2)} | ${better} |`);
  }
  return lines.join("\n");
}

/** Replaces what stands between the marks of a page by other text. */
export function replaceResults(page: string, text: string): string {
  const parts = /^([^]*<!-- results -->\n)[^]*(<!-- end of results -->[^]*)$/
    .exec(page);
  if (parts === null) throw new Error("The page has no marks for the results");
  return `${parts[1]}\n${text}\n\n${parts[2]}`;
}
