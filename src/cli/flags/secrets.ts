import { basicAuth } from "../../internal.ts";
import { usageError } from "../errors.ts";
import { BEARER_VARIABLE, mayRead, USER_VARIABLE } from "./variables.ts";
import type { Sources } from "./sources.ts";

/** What may ask for an `Authorization` header. */
interface Asked {
  readonly user: string | undefined;
  readonly bearer: string | undefined;
  /** Whether a header says it already. */
  readonly given: boolean;
}

/**
 * The value of `Authorization` that the options or the environment ask for.
 *
 * @returns `null` if nothing asks for one.
 */
export function authorization(asked: Asked, sources: Sources): string | null {
  const user = userOf(asked, sources);
  if (user !== null) return basic(user, sources);
  const { bearer, given } = asked;
  if (bearer !== undefined) {
    return `Bearer ${secret("--bearer", bearer, sources)}`;
  }
  const bearerVariable = given ? undefined : variable(BEARER_VARIABLE);
  return bearerVariable === undefined ? null : `Bearer ${bearerVariable}`;
}

/**
 * The name of the user whose password has to be asked for.
 *
 * @returns `null` if none has to.
 */
export function withoutPassword(asked: Asked, sources: Sources): string | null {
  const user = userOf(asked, sources);
  return user === null || user.includes(":") ? null : user;
}

/** The name of a user, perhaps with a password, that basic authentication is asked for with. */
function userOf(
  { user, bearer, given }: Asked,
  sources: Sources,
): string | null {
  const asked = [
    user !== undefined && "--user",
    bearer !== undefined && "--bearer",
    given && "an Authorization header",
  ].filter((name) => name !== false);
  if (asked.length > 1) {
    throw usageError(`${asked.join(" and ")} exclude each other`);
  }
  if (user !== undefined) return secret("--user", user, sources);
  return asked.length > 0 ? null : variable(USER_VARIABLE) ?? null;
}

/** The header that one `--header` gives, or all of those in its `@FILE`. */
export function headerLines(
  value: string,
  sources: Sources,
): [string, string][] {
  if (!value.startsWith("@")) return [headerLine(value, "--header")];
  const path = value.slice(1);
  return sources.text("--header", path).split(/\r?\n/)
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map((line) => headerLine(line, path));
}

function headerLine(line: string, source: string): [string, string] {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon).trim();
  if (colon === -1 || name === "") {
    // The line is not repeated: it may be a secret.
    throw usageError(
      `Invalid header in ${source}: expected "Name: value"`,
    );
  }
  return [name, line.slice(colon + 1).trim()];
}

/** The value of an option, or the first line of the file that it names. */
export function secret(
  option: string,
  value: string,
  sources: Sources,
): string {
  const text = value.startsWith("@")
    ? sources.text(option, value.slice(1)).split(/\r?\n/)[0]!.trim()
    : value;
  if (text === "") throw usageError(`The value of ${option} is empty`);
  return text;
}

function basic(user: string, sources: Sources): string {
  const colon = user.indexOf(":");
  if (colon !== -1) {
    return basicAuth(user.slice(0, colon), user.slice(colon + 1));
  }
  const password = sources.passwords.get(user);
  if (password !== undefined) return basicAuth(user, password);
  throw usageError(
    "The password of --user is missing, and there is no terminal to ask on: " +
      `give NAME:PASSWORD, @FILE or ${USER_VARIABLE}`,
  );
}

/** An environment variable, if it may be read without asking. */
function variable(name: string): string | undefined {
  return mayRead(name) ? Deno.env.get(name) || undefined : undefined;
}
