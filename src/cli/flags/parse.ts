import { parseArgs } from "node:util";
import { usageError } from "../errors.ts";
import {
  type Command,
  isFor,
  type Option,
  OPTIONS,
  type SwitchName,
  type ValueName,
} from "./table.ts";

/** The words of the command line, sorted. Of the values nothing has been checked. */
export interface Arguments {
  /** Whether a switch is on. */
  has(name: SwitchName): boolean;
  /** The value of an option, `undefined` if it is not given. */
  get(name: ValueName): string | undefined;
  /** All values of an option that is repeatable. */
  all(name: ValueName): string[];
  /** What is neither an option nor the value of one. */
  readonly positionals: readonly string[];
  /** The options that are given. */
  readonly given: readonly Option[];
}

const KNOWN = Object.fromEntries(OPTIONS.map(({ name, short, value }) => [
  name,
  {
    type: value === undefined ? "boolean" as const : "string" as const,
    ...(short !== undefined && { short }),
  },
]));

/**
 * Sorts the words of the command line into switches, values and the rest.
 *
 * @throws {CliError} If an option is unknown, lacks its value, has one that it
 * does not take, or is given twice and not repeatable.
 */
export function parseArguments(args: readonly string[]): Arguments {
  // It is not strict, because its own errors would be worded otherwise.
  const { tokens } = parseArgs({
    args: [...args],
    options: KNOWN,
    strict: false,
    tokens: true,
  });
  const given = new Map<Option, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value } = token;
    const option = OPTIONS.find((option) => option.name === name);
    if (option === undefined) {
      throw rawName.startsWith("--")
        ? unknownOption(name)
        : unknownLetter(args[token.index]!, name);
    }
    const values = given.get(option) ?? [];
    given.set(option, values);
    if (option.value === undefined) {
      if (value === undefined) continue;
      throw usageError(`The option ${rawName} takes no value`);
    }
    if (value === undefined) {
      throw usageError(
        `The option ${rawName} needs a value: ${rawName} ${option.value}`,
      );
    }
    const isAttached = token.inlineValue && !rawName.startsWith("--");
    values.push(isAttached ? value.replace(/^=/, "") : value);
    if (values.length > 1 && !option.repeat) {
      throw usageError(`The option --${name} is given more than once`);
    }
  }
  const values = new Map(
    [...given].map(([{ name }, values]): [string, string[]] => [name, values]),
  );
  return {
    has: (name) => values.has(name),
    get: (name) => values.get(name)?.[0],
    all: (name) => values.get(name) ?? [],
    positionals,
    given: [...given.keys()],
  };
}

/** @throws {CliError} If an option is given that does not go with a command. */
export function checkCommand({ given }: Arguments, command: Command): void {
  for (const option of given) {
    if (isFor(option, command)) continue;
    const { name, for: others } = option;
    throw usageError(
      command === "tap"
        ? `The option --${name} is for ${
          others!.map((it) => `wstap ${it}`).join(" and ")
        }`
        : `The option --${name} does not go with wstap ${command}`,
    );
  }
}

function unknownOption(name: string) {
  const near = nearest(name, OPTIONS.map((option) => option.name));
  const hint = near === undefined
    ? "see wstap --help"
    : `did you mean --${near}?`;
  return usageError(`Unknown option --${name}: ${hint}`);
}

/** `-timeout` is more likely a slip for `--timeout` than a row of switches. */
function unknownLetter(arg: string, letter: string) {
  const name = arg.slice(1).replace(/=.*$/s, "");
  if (OPTIONS.some((option) => option.name === name)) {
    return usageError(`Unknown option -${name}: did you mean --${name}?`);
  }
  const within = arg === `-${letter}` ? "" : ` in ${arg}`;
  return usageError(
    `Unknown option -${letter}${within}: see wstap --help`,
  );
}

/** The candidate that is fewest slips away from a word, or begins with it; none if all are far off. */
export function nearest(
  word: string,
  candidates: readonly string[],
): string | undefined {
  let best: string | undefined;
  // One slip in three letters: "foo" is no "loop".
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const edits = candidate.startsWith(word) && word.length > 1
      ? 1
      : distance(word, candidate);
    if (edits < least) [best, least] = [candidate, edits];
  }
  return best;
}

/**
 * How many characters must be added, removed or replaced, or swapped with the one
 * beside them.
 */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 &&
        a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwapped ? before[j - 2]! + 1 : Infinity;
      next.push(Math.min(replaced, swapped, row[j]! + 1, next[j - 1]! + 1));
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
