// @ts-types="npm:@types/minimist@1.2.5"
import minimist from "minimist";

/** What `parseArgs` reads: of the options of @std, those that are used here. */
export interface ParseOptions<
  TBooleans extends string = string,
  TStrings extends string = string,
  TCollectable extends string = string,
> {
  "--"?: boolean;
  alias?: Record<string, string | readonly string[]>;
  boolean?: TBooleans | readonly TBooleans[];
  string?: TStrings | readonly TStrings[];
  collect?: TCollectable | readonly TCollectable[];
  negatable?: string | readonly string[];
  default?: Record<string, unknown>;
  stopEarly?: boolean;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** What `parseArgs` gives. */
export type Args<
  TBooleans extends string = never,
  TStrings extends string = never,
  TCollectable extends string = never,
> =
  & { [key in Exclude<TBooleans, TCollectable>]: boolean }
  & { [key in Exclude<TStrings, TCollectable>]?: string }
  & { [key in Extract<TStrings, TCollectable>]: string[] }
  & { [key in Extract<TBooleans, TCollectable>]: boolean[] }
  // deno-lint-ignore no-explicit-any -- @std knows the rest by its defaults
  & { _: (string | number)[]; "--"?: string[]; [key: string]: any };

/** Parses command-line arguments like `@std/cli`, whose ancestor minimist is. */
export function parseArgs<
  TBooleans extends string = never,
  TStrings extends string = never,
  TCollectable extends string = never,
>(
  args: readonly string[],
  options: ParseOptions<TBooleans, TStrings, TCollectable> = {},
): Args<TBooleans, TStrings, TCollectable> {
  const { unknown, alias = {} } = options;
  const withAliases = (keys: string | readonly string[] = []) => {
    const wanted = [keys].flat();
    const groups = Object.entries(alias).map(([key, names]) =>
      [key, names].flat()
    );
    const same = groups.filter((it) => it.some((key) => wanted.includes(key)));
    return new Set([...wanted, ...same.flat()]);
  };
  const strings = withAliases(options.string);
  const booleans = withAliases(options.boolean);
  const collect = withAliases(options.collect);
  const negatable = withAliases(options.negatable);

  // Where the two read an argument differently, it is written so that minimist
  // can only read it as @std does.
  const original = new Map<string, string>();
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const rewritten = args.map((arg, index) => {
    const key = /^--([^=]+)$/.exec(arg)?.[1];
    if (key === undefined || index >= end) return arg;
    const next = args[index + 1] ?? "";
    let explicit = arg;
    if (key.startsWith("no-") && !negatable.has(key.slice(3))) {
      explicit = `--${key}=${strings.has(key) ? "" : true}`;
    } else if (strings.has(key) && (next === "" || next.startsWith("-"))) {
      explicit = `--${key}=`;
    }
    original.set(explicit, arg);
    return explicit;
  });

  const parsed = minimist(rewritten, {
    "--": options["--"] ?? false,
    alias: alias as Record<string, string | string[]>,
    boolean: [...booleans],
    string: [...strings],
    default: options.default,
    stopEarly: options.stopEarly ?? false,
    unknown: unknown && ((arg) => {
      const given = original.get(arg) ?? arg;
      const { key, value } =
        /^--?(?<key>[^=]+)(?:=(?<value>[^]*))?$/.exec(given)?.groups ?? {};
      if (key === undefined) return unknown(given) !== false;
      return collect.has(key) || unknown(given, key, value ?? true) !== false;
    }),
  });

  // minimist keeps every value of a repeated option, @std the last one.
  for (const [key, value] of Object.entries(parsed)) {
    if (key === "_" || key === "--") continue;
    if (collect.has(key)) {
      parsed[key] = value === undefined ? [] : [value].flat();
    } else if (Array.isArray(value)) {
      parsed[key] = value.at(-1);
    }
  }
  for (const key of collect) {
    if (strings.has(key)) parsed[key] ??= [];
  }
  return parsed as Args<TBooleans, TStrings, TCollectable>;
}
