/**
 * Draws docs/session.svg, the picture in the README, from a real session in a
 * pseudo-terminal: `deno run -A scripts/picture.ts [FLAG...]`, where the flags are
 * those with which `deno run` finds the imports. It takes `script` of util-linux.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

const COLUMNS = 100;
/** The width and the height of one character, in pixels. */
const CELL = [7.83, 18] as const;
const MARGIN = 16;

const COMMANDS = [
  "wstap demo -n 4 --summary",
  "wstap ping -n 3 --interval 100ms ws://127.0.0.1:8080/events",
  "wstap ws://127.0.0.1:8080/refuse/404; echo $?",
];

const COLORS: Record<number, string> = {
  30: "#6e7681",
  31: "#ff7b72",
  32: "#7ee787",
  33: "#e3b341",
  34: "#79c0ff",
  35: "#d2a8ff",
  36: "#76e3ea",
  37: "#e6edf3",
};

/** How a character looks: what it is drawn with. */
interface Style {
  bold: boolean;
  dim: boolean;
  color: string | undefined;
}

/** A piece of a line in one style. */
interface Run extends Style {
  column: number;
  text: string;
}

const root = new URL("../", import.meta.url);

/** Runs the commands in a terminal of their own, and gives all that it showed. */
async function record(flags: string[]): Promise<string> {
  const folder = await Deno.makeTempDir();
  const cli = [Deno.execPath(), "run", "-q", "-A", ...flags, "cli.ts"];
  const words = cli.map((word) => `'${word}'`).join(" ");
  const cwd = fileURLToPath(root);
  try {
    await Deno.writeTextFile(
      `${folder}/wstap`,
      `#!/bin/sh\ncd '${cwd}' && exec ${words} "$@"\n`,
    );
    await Deno.chmod(`${folder}/wstap`, 0o755);
    const steps = COMMANDS.map((command) =>
      `printf '\\033[32m$\\033[0m %s\\n' '${command}'\n${command}\n`
    );
    await Deno.writeTextFile(
      `${folder}/session`,
      `stty cols ${COLUMNS} rows 50
wstap demo --listen --port 8080 >/dev/null 2>&1 &
feed=$!
sleep 1
echo @begin
${steps.join("echo\n")}
echo @end
kill $feed
`,
    );
    const { stdout } = await new Deno.Command("script", {
      args: ["-qefc", `sh ${folder}/session`, "/dev/null"],
      env: { PATH: `${folder}:${Deno.env.get("PATH")}`, TERM: "xterm" },
      stdin: "null",
    }).output();
    const text = new TextDecoder().decode(stdout);
    const session = text.split("@begin\r\n")[1]!.split("@end")[0]!;
    for (const line of ["101 Switching Protocols", "round trip min", "404"]) {
      if (!session.includes(line)) {
        throw new Error(`The session shows no "${line}":\n${session}`);
      }
    }
    return session;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What a terminal shows of an output: its lines, cut where they are too long. */
function screen(output: string): Run[][] {
  const lines: { character: string; style: Style }[][] = [[]];
  const plain: Style = { bold: false, dim: false, color: undefined };
  let style = plain;
  let column = 0;
  // deno-lint-ignore no-control-regex -- they are what a terminal is told
  const token = /\x1b\[([\d;?]*)([A-Za-z])|[^]/gu;
  for (const [text, codes, action] of output.matchAll(token)) {
    const line = lines.at(-1)!;
    if (action === "m") {
      for (const code of (codes || "0").split(";").map(Number)) {
        style = code === 0
          ? plain
          : code === 1
          ? { ...style, bold: true }
          : code === 2
          ? { ...style, dim: true }
          : { ...style, color: COLORS[code >= 90 ? code - 60 : code] };
      }
    } else if (action === "K") line.length = Math.min(line.length, column);
    else if (action !== undefined) continue;
    else if (text === "\r") column = 0;
    else if (text === "\n") {
      lines.push([]);
      column = 0;
    } else {
      if (column === COLUMNS) {
        lines.push([]);
        column = 0;
      }
      lines.at(-1)![column++] = { character: text, style };
    }
  }
  return lines.map((line) => {
    const runs: Run[] = [];
    line.forEach(({ character, style }, column) => {
      const last = runs.at(-1);
      if (
        last?.color === style.color && last?.bold === style.bold &&
        last?.dim === style.dim
      ) last.text += character;
      else runs.push({ column, text: character, ...style });
    });
    return runs;
  });
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** Draws lines as a window. */
function draw(lines: Run[][]): string {
  while (lines.length > 0 && lines.at(-1)!.length === 0) lines.pop();
  const [width, height] = CELL;
  const top = 44;
  const total = [
    Math.ceil(COLUMNS * width + 2 * MARGIN),
    Math.ceil(top + lines.length * height + MARGIN - 4),
  ];
  const texts = lines.flatMap((runs, row) =>
    runs.filter(({ text }) => text.trim() !== "").map((run) => {
      // Blanks at its ends would not be drawn.
      const column = run.column + run.text.length -
        run.text.trimStart().length;
      const text = run.text.trim();
      const length = [...text].length;
      return `<text x="${(MARGIN + column * width).toFixed(1)}" y="${
        top + (row + 0.75) * height
      }" textLength="${(length * width).toFixed(1)}"${
        run.bold ? ' font-weight="bold"' : ""
      }${run.dim ? ' opacity="0.6"' : ""}${
        run.color === undefined ? "" : ` fill="${run.color}"`
      }>${escape(text)}</text>`;
    })
  );
  const dots = ["#ff5f57", "#febc2e", "#28c840"].map((color, index) =>
    `<circle cx="${MARGIN + 6 + index * 20}" cy="20" r="6" fill="${color}"/>`
  );
  const label = COMMANDS.join("; ");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${
    total.join(" ")
  }" width="${total[0]}" height="${total[1]}" role="img">
<title>A terminal: ${escape(label)}</title>
<rect width="100%" height="100%" rx="10" fill="#0d1117"/>
${dots.join("\n")}
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13" fill="#e6edf3" xml:space="preserve">
${texts.join("\n")}
</g>
</svg>
`;
}

if (import.meta.main) {
  const output = await record(Deno.args);
  // The demo takes any free port; one is easier to read.
  const readable = output.replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:8080");
  await Deno.writeTextFile(
    new URL("docs/session.svg", root),
    draw(screen(readable)),
  );
}
