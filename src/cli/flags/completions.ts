/**
 * The completions for shells, made from the table of options.
 *
 * @module
 */

import { usageError } from "../errors.ts";
import {
  COMMANDS,
  type Option,
  optionFlags,
  OPTIONS,
  SHELLS,
} from "./table.ts";

/** The completions for a shell, as a script that it reads. */
export function completions(args: readonly string[]): string {
  const [shell, ...rest] = args;
  const write = shell !== undefined && rest.length === 0 &&
    Object.hasOwn(WRITERS, shell) && WRITERS[shell as keyof typeof WRITERS];
  if (write) return write();
  throw usageError(`Expected wstap completions ${SHELLS.join("|")}`);
}

const WRITERS = { bash, zsh, fish };

function bash(): string {
  const cases = (options: readonly Option[], reply: string) =>
    options.length === 0
      ? ""
      : `    ${options.flatMap(optionFlags).join("|")}) ${reply};;\n`;
  const chosen = OPTIONS.filter((option) => option.choices !== undefined);
  const files = OPTIONS.filter((option) => option.file);
  const others = OPTIONS.filter((option) =>
    option.value !== undefined && !option.file && option.choices === undefined
  );
  return `\
# Completions of wstap for bash: eval "$(wstap completions bash)"
_wstap() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  # In --format=json, bash takes the = for a word.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  case $previous in
${
    chosen.map((option) => cases([option], `${words(option.choices!)}; return`))
      .join("")
  }${cases(files, `${FILES}; return`)}${
    cases(others, "return")
  }    completions) ${words(SHELLS)}; return;;
  esac
  case $current in
    -*) ${words(OPTIONS.flatMap(optionFlags))};;
    *) if [[ $COMP_CWORD -eq 1 ]]; then ${words(COMMANDS)}
       elif [[ \${COMP_WORDS[1]} == replay ]]; then ${FILES}; fi;;
  esac
}
complete -o filenames -F _wstap wstap
`;
}

/** A name may have spaces in it. */
const FILES = `local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$current"))`;

function words(list: readonly string[]): string {
  return `COMPREPLY=($(compgen -W "${list.join(" ")}" -- "$current"))`;
}

function zsh(): string {
  const specs = OPTIONS.map((option) => {
    const { short, name, value, repeat, choices, file } = option;
    const help = option.help.trim().replace(/[[\]:]/g, "\\$&");
    const action = choices !== undefined
      ? `(${choices.join(" ")})`
      : file
      ? "_files"
      : "";
    const argument = value === undefined
      ? ""
      : `:${value.replace(/[[\]:]/g, "\\$&")}:${action}`;
    const rest = `[${help}]${argument}`;
    // The value may stand in the same word: --option=value.
    const sign = value === undefined ? "" : "=";
    if (repeat) {
      return optionFlags(option).map((flag) =>
        `'*${flag}${flag.startsWith("--") ? sign : ""}${
          rest.replace(/'/g, "'\\''")
        }'`
      )
        .join(" \\\n    ");
    }
    const both = short === undefined
      ? `--${name}${sign}`
      : `'{-${short},--${name}${sign}}'`;
    const exclusive = short === undefined ? "" : `(-${short} --${name})`;
    return `'${exclusive}${both}${rest.replace(/'/g, "'\\''")}'`;
  });
  return `\
#compdef wstap
# Completions of wstap for zsh: source <(wstap completions zsh)
_wstap() {
  _arguments -s \\
    ${specs.join(" \\\n    ")} \\
    '1:URL or command:(${COMMANDS.join(" ")})' \\
    '*:argument: _alternative "files:file:_files" "shells:shell:(${
    SHELLS.join(" ")
  })"'
}
# In a folder of $fpath, this file is the function itself.
if [[ $funcstack[1] == _wstap ]]; then
  _wstap "$@"
else
  compdef _wstap wstap
fi
`;
}

function fish(): string {
  const lines = OPTIONS.map(({ short, name, value, choices, file, help }) =>
    [
      "complete -c wstap",
      short === undefined ? "" : `-s ${short}`,
      `-l ${name}`,
      value === undefined ? "" : file ? "-r -F" : "-x",
      choices === undefined ? "" : `-a '${choices.join(" ")}'`,
      `-d '${help.trim().replace(/['\\]/g, "\\$&")}'`,
    ].filter((part) => part !== "").join(" ")
  );
  return `\
# Completions of wstap for fish: wstap completions fish | source
complete -c wstap -f
complete -c wstap -n __fish_use_subcommand -a '${COMMANDS.join(" ")}'
complete -c wstap -n '__fish_seen_subcommand_from completions' -a '${
    SHELLS.join(" ")
  }'
complete -c wstap -n '__fish_seen_subcommand_from replay' -F
${lines.join("\n")}
`;
}
