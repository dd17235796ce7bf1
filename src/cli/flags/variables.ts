/** The environment variable that stands in for `--user`. */
export const USER_VARIABLE = "WSTAP_USER";
/** The environment variable that stands in for `--bearer`. */
export const BEARER_VARIABLE = "WSTAP_BEARER";

/** The environment variables that name a proxy, or what goes without one. */
const PROXY_VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]
  .flatMap((name) => [name, name.toLowerCase()]);

/** The environment variables that the command line and Deno's network stack read. */
export const VARIABLES: readonly string[] = [
  ...PROXY_VARIABLES,
  BEARER_VARIABLE,
  USER_VARIABLE,
];

/**
 * Says which variables that might be set may not be read; `null` if all may. Whether
 * they are set cannot be told then.
 */
export function describeUnread(): string | null {
  const names = [USER_VARIABLE, BEARER_VARIABLE, ...PROXY_VARIABLES]
    .filter((name) => name === name.toUpperCase() && !mayRead(name));
  if (names.length === 0) return null;
  const list = names.join(", ").replace(/, ([^,]*)$/, " and $1");
  return `not read, whether set or not: ${list} (--allow-env is missing)`;
}

/** Whether an environment variable may be read without asking. */
export function mayRead(name: string): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted";
}
