/**
 * Formats the report of the fuzzing server.
 *
 * @module
 */

/** The outcome of a case. */
export interface Outcome {
  /** `"OK"`, `"NON-STRICT"`, `"INFORMATIONAL"`, `"UNIMPLEMENTED"` or `"FAILED"`. */
  behavior: string;
  /** The same for the end of the connection; also `"UNCLEAN"`, `"WRONG CODE"` and others. */
  behaviorClose: string;
}

/** Outcomes by the name of the client, and by the number of the case. */
export type Report = Record<string, Record<string, Outcome>>;

/** The names of the categories. */
const CATEGORIES = new Map([
  ["1", "Framing"],
  ["2", "Pings and pongs"],
  ["3", "Reserved bits"],
  ["4", "Opcodes"],
  ["5", "Fragmentation"],
  ["6", "UTF-8"],
  ["7", "Closing handshake"],
  ["9", "Large messages and many"],
  ["10", "Automatic fragmentation"],
  ["12", "Compression, payloads"],
  ["13", "Compression, parameters"],
]);

/** The outcome of a case that the server has not run. */
const MISSING: Outcome = { behavior: "MISSING", behaviorClose: "MISSING" };

const PASSED = ["OK", "NON-STRICT", "INFORMATIONAL"];
const ENDED_WELL = ["OK", "INFORMATIONAL"];

/** Formats a table in Markdown with the number of cases of each outcome, by category. */
export function table(
  report: Report,
  cases: readonly string[],
  captures: readonly string[],
): string {
  const rows = [
    ["cases", ...captures.map((capture) => `\`"${capture}"\``)],
    ["---", ...captures.map(() => "---")],
  ];
  for (const category of new Set(cases.map(categoryOf))) {
    const own = cases.filter((it) => categoryOf(it) === category);
    rows.push([
      `${category} ${CATEGORIES.get(category) ?? ""}`.trim(),
      ...captures.map((capture) => counts(report[capture] ?? {}, own)),
    ]);
  }
  rows.push([
    "all",
    ...captures.map((capture) => counts(report[capture] ?? {}, cases)),
  ]);
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => row[column]!.length))
  );
  return rows.map((row) => {
    const fill = row[0] === "---" ? "-" : " ";
    const cells = row.map((cell, i) => cell.padEnd(widths[i]!, fill));
    return `| ${cells.join(" | ")} |`;
  }).join("\n");
}

/** Returns the cases that did not pass, each with its outcome. */
export function failures(
  outcomes: Record<string, Outcome> = {},
  cases: readonly string[],
): string[] {
  return cases.flatMap((it) => {
    const { behavior, behaviorClose } = outcomes[it] ?? MISSING;
    if (!PASSED.includes(behavior)) return [`${it} ${behavior}`];
    return ENDED_WELL.includes(behaviorClose)
      ? []
      : [`${it} ${behavior}, but its end ${behaviorClose}`];
  });
}

/** Returns the category of a case, such as `"1"` for `"1.1.8"`. */
export function categoryOf(it: string): string {
  return it.split(".")[0]!;
}

function counts(
  outcomes: Record<string, Outcome>,
  cases: readonly string[],
): string {
  const found = new Map<string, number>();
  for (const it of cases) {
    const { behavior } = outcomes[it] ?? MISSING;
    found.set(behavior, (found.get(behavior) ?? 0) + 1);
  }
  return [...found].map(([behavior, count]) => `${count} ${behavior}`)
    .join(", ");
}
