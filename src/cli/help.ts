import { GROUPS, type Option } from "./options.ts";

/** The text of `--help`. */
export function help(): string {
  const groups = Object.entries(GROUPS).map(([heading, options]) =>
    `${heading}:\n${options.map(line).join("\n")}`
  );
  return `wstap: tap a WebSocket feed

Usage:
  wstap [options] URL [FALLBACK-URL...]
  wstap demo [--listen [--port N]]
  wstap completions bash|zsh|fish

${groups.join("\n\n")}
`;
}

function line({ name, short, value, help }: Option): string {
  const letter = short === undefined ? "    " : `-${short}, `;
  const flag = `${letter}--${name}${value === undefined ? "" : " " + value}`;
  return `  ${flag.padEnd(26)} ${help}`;
}
