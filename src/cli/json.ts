import { visible } from "./visible.ts";

/** Whether a text is a JSON value. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * JSON on one line. The text stays what it is, so that no number loses digits:
 * a line break in valid JSON stands between two tokens.
 */
export function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.trim().replace(/\s*[\r\n]\s*/g, " ") : json;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs;

const COLORS = {
  key: "\x1b[34;1m",
  string: "\x1b[32m",
  number: "\x1b[33m",
  literal: "\x1b[36m",
} as const;

/** JSON for the eyes: indented, in colours if asked for, and with no character that acts. */
export function prettyJson(json: string, colors: boolean): string {
  const tokens = json.match(TOKEN) ?? [];
  const paint = (kind: keyof typeof COLORS, text: string) =>
    colors ? `${COLORS[kind]}${text}\x1b[0m` : text;
  let pretty = "";
  let depth = 0;
  const newline = () => "\n" + "  ".repeat(depth);
  tokens.forEach((token, i) => {
    const next = tokens[i + 1];
    if (token === "{" || token === "[") {
      depth++;
      pretty += token + (next === "}" || next === "]" ? "" : newline());
    } else if (token === "}" || token === "]") {
      depth--;
      const previous = tokens[i - 1];
      const empty = previous === "{" || previous === "[";
      pretty += (empty ? "" : newline()) + token;
    } else if (token === ",") pretty += token + newline();
    else if (token === ":") pretty += ": ";
    else {
      const kind = token[0] !== '"'
        ? /^[tfn]/.test(token) ? "literal" : "number"
        : next === ":"
        ? "key"
        : "string";
      pretty += paint(kind, visible(token));
    }
  });
  return pretty;
}
