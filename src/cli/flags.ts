import { parseArgs } from "@std/cli/parse-args";
import { usageError } from "./exit.ts";
import { nearest } from "./nearest.ts";
import {
  type Command,
  type Option,
  OPTIONS,
  type SwitchName,
  type ValueName,
} from "./options.ts";

/** The command line, sorted: nothing in it has been checked but the flags' names. */
export interface Flags {
  /** Whether a switch is on. */
  has(name: SwitchName): boolean;
  /** The value of an option, `undefined` when it is not given. */
  get(name: ValueName): string | undefined;
  /** Every value of an option that is repeatable. */
  all(name: ValueName): string[];
  readonly positionals: string[];
  /** The options that are given. */
  readonly given: readonly Option[];
}

/**
 * Sorts the arguments into switches, values and the rest.
 *
 * @throws {CliError} For an unknown option, a missing value, a value for a
 * switch, a second value where one is taken.
 */
export function parseFlags(args: readonly string[]): Flags {
  const values = OPTIONS.filter((option) => option.value !== undefined);
  const parsed: Record<string, unknown> = parseArgs(canonical(args), {
    boolean: OPTIONS.filter((option) => option.value === undefined)
      .map((option) => option.name),
    string: ["_", ...values.map((option) => option.name)],
    // All of them, so that a second value is seen.
    collect: values.map((option) => option.name),
  });
  const all = (name: ValueName) => parsed[name] as string[];
  for (const { name, repeat } of values) {
    if (!repeat && all(name as ValueName).length > 1) {
      throw usageError(`The option --${name} is given more than once`);
    }
  }
  return {
    has: (name) => parsed[name] === true,
    get: (name) => all(name)[0],
    all,
    positionals: parsed._ as string[],
    given: OPTIONS.filter(({ name, value }) =>
      value === undefined
        ? parsed[name] === true
        : all(name as ValueName).length > 0
    ),
  };
}

/** @throws {CliError} If an option is given that is for other commands alone. */
export function checkCommand(flags: Flags, command: Command): void {
  for (const { name, for: commands = ["tap", "demo"] } of flags.given) {
    if (commands.includes(command)) continue;
    const others = commands.map((it) => `wstap ${it}`).join(" and ");
    throw usageError(
      command === "tap"
        ? `The option --${name} is for ${others}`
        : `The option --${name} does not go with wstap ${command}`,
    );
  }
}

/**
 * Writes every option as `--name` or `--name=value`, options first: `parseArgs`
 * by itself takes no value that begins with a dash, no empty one, and no
 * `-Hvalue`, and takes what follows a switch that it does not know for a value.
 */
function canonical(args: readonly string[]): string[] {
  const options: string[] = [];
  const positionals: string[] = [];
  const rest = [...args];
  const take = (option: Option, shown: string, attached?: string) => {
    if (option.value === undefined) {
      if (attached !== undefined) {
        throw usageError(`The option ${shown} takes no value`);
      }
      options.push(`--${option.name}`);
      return;
    }
    const value = attached ?? rest.shift();
    if (value === undefined) {
      throw usageError(
        `The option ${shown} needs a value: ${shown} ${option.value}`,
      );
    }
    // An empty one is read from the option alone.
    options.push(
      value === "" ? `--${option.name}` : `--${option.name}=${value}`,
    );
  };
  for (let arg; (arg = rest.shift()) !== undefined;) {
    if (arg === "--") {
      positionals.push(...rest.splice(0));
    } else if (arg.startsWith("--")) {
      const equals = arg.indexOf("=");
      const name = arg.slice(2, equals === -1 ? undefined : equals);
      const option = OPTIONS.find((option) => option.name === name);
      if (option === undefined) throw unknownOption(name);
      take(
        option,
        `--${name}`,
        equals === -1 ? undefined : arg.slice(equals + 1),
      );
    } else if (arg.startsWith("-") && arg !== "-") {
      for (let i = 1; i < arg.length; i++) {
        const letter = arg[i]!;
        const option = OPTIONS.find((option) => option.short === letter);
        if (option === undefined) throw unknownLetter(arg, letter);
        const attached = arg.slice(i + 1).replace(/^=/, "");
        if (option.value === undefined) take(option, `-${letter}`);
        else {
          take(
            option,
            `-${letter}`,
            i + 1 < arg.length ? attached : undefined,
          );
          break;
        }
      }
    } else {
      positionals.push(arg);
    }
  }
  return [...options, "--", ...positionals];
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
