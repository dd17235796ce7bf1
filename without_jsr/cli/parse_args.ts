// @ts-types="npm:@types/minimist@1.2.5"
import minimist from "npm:minimist@1.2.8";

/** Options of {@linkcode parseArgs}: those of @std that this project uses. */
export interface ParseOptions<
  TBooleans extends string = string,
  TStrings extends string = string,
  TCollectable extends string = string,
  TDefaults extends Record<string, unknown> = Record<string, unknown>,
> {
  "--"?: boolean;
  alias?: Record<string, string | readonly string[]>;
  boolean?: TBooleans | readonly TBooleans[];
  string?: TStrings | readonly TStrings[];
  collect?: TCollectable | readonly TCollectable[];
  negatable?: string | readonly string[];
  default?: TDefaults;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** The result of {@linkcode parseArgs}. */
export type Args<
  TBooleans extends string = never,
  TStrings extends string = never,
  TCollectable extends string = never,
  TDefaulted = never,
> =
  & { [key in Exclude<TBooleans, TCollectable>]: boolean }
  & { [key in Exclude<TStrings, TCollectable>]?: string }
  & { [key in Extract<TStrings, TDefaulted>]: string }
  & { [key in Extract<TStrings, TCollectable>]: string[] }
  & { [key in Extract<TBooleans, TCollectable>]: boolean[] }
  & { _: (string | number)[]; "--"?: string[]; [key: string]: unknown };

/** Parses command-line arguments as `@std/cli` does, with minimist, from which it descends. */
export function parseArgs<
  TBooleans extends string = never,
  TStrings extends string = never,
  TCollectable extends string = never,
  TDefaults extends Record<string, unknown> = Record<never, unknown>,
>(
  args: readonly string[],
  options: ParseOptions<TBooleans, TStrings, TCollectable, TDefaults> = {},
): Args<TBooleans, TStrings, TCollectable, keyof TDefaults> {
  const { alias = {}, unknown = () => true } = options;
  const groups = Object.entries(alias).map(([key, names]) =>
    [key, names].flat()
  );
  const withAliases = (keys: string | readonly string[] = []) => {
    const given = [keys].flat();
    const others = groups.filter((it) => it.some((key) => given.includes(key)));
    return new Set([...given, ...others.flat()]);
  };
  const strings = withAliases(options.string);
  const booleans = withAliases(options.boolean);
  const collect = withAliases(options.collect);
  const negatable = withAliases(options.negatable);
  const known = new Set(
    [...strings, ...booleans, ...collect, ...groups.flat()],
  );

  // minimist and @std read `--key value` and `--no-key` differently, so minimist
  // is given `--key=value`, which both read alike.
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const explicit: string[] = [];
  for (let i = 0; i < end; i++) {
    const arg = args[i]!;
    const [, key, given] = /^--([^=]+)(?:=([^]*))?$/.exec(arg) ?? [];
    const negates = given === undefined && key?.startsWith("no-") &&
      negatable.has(key.slice(3));
    if (key === undefined || negates) {
      explicit.push(arg);
      continue;
    }
    const next = i + 1 < end ? args[i + 1]! : "";
    let value: string | true = given ?? (strings.has(key) ? "" : true);
    const takesNext = booleans.has(key)
      ? /^(true|false)$/.test(next)
      : next !== "" && !next.startsWith("-");
    if (given === undefined && takesNext) {
      value = next;
      i++;
    }
    if (!known.has(key) && unknown(arg, key, value) === false) continue;
    const bare = value === true && !key.startsWith("no-");
    explicit.push(bare ? arg : `--${key}=${value}`);
  }

  const parsed = minimist([...explicit, ...args.slice(end)], {
    "--": options["--"] ?? false,
    alias: alias as Record<string, string | string[]>,
    boolean: [...booleans],
    string: [...strings],
    default: options.default,
    unknown: (arg) => {
      if (arg.startsWith("--")) return true; // `unknown` was called above
      if (!/^-./.test(arg)) return unknown(arg) !== false;
      const letter = arg.slice(1).split("").find((it) => !known.has(it));
      return letter === undefined || unknown(arg, letter, true) !== false;
    },
  });

  // For a repeated option minimist keeps every value, @std only the last one.
  for (const [key, value] of Object.entries(parsed)) {
    if (key === "_" || key === "--") continue;
    if (collect.has(key)) parsed[key] = [value].flat();
    else if (Array.isArray(value)) parsed[key] = value.at(-1);
  }
  for (const key of strings.intersection(collect)) parsed[key] ??= [];
  return parsed as Args<TBooleans, TStrings, TCollectable, keyof TDefaults>;
}
