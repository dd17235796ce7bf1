import { promptSecret } from "@std/cli/prompt-secret";
import { basicAuth } from "../../internal.ts";
import { usageError } from "../errors.ts";
import { BEARER_VARIABLE, mayRead, USER_VARIABLE } from "./variables.ts";
import type { Sources } from "./sources.ts";

/**
 * The value of `Authorization` that the options or the environment ask for.
 *
 * @returns `null` if nothing asks for one.
 */
export function authorization(
  { user, bearer, given }: {
    user: string | undefined;
    bearer: string | undefined;
    /** Whether a header says it already. */
    given: boolean;
  },
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
  if (user !== undefined) {
    return basic(secret("--user", user, sources), sources);
  }
  if (bearer !== undefined) {
    return `Bearer ${secret("--bearer", bearer, sources)}`;
  }
  if (given) return null;
  const userVariable = variable(USER_VARIABLE);
  if (userVariable !== undefined) return basic(userVariable, sources);
  const bearerVariable = variable(BEARER_VARIABLE);
  return bearerVariable === undefined ? null : `Bearer ${bearerVariable}`;
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
  return colon === -1
    ? basicAuth(user, sources.ask(user, askPassword))
    : basicAuth(user.slice(0, colon), user.slice(colon + 1));
}

function askPassword(user: string): string {
  // The question goes to standard output, which may be the data's.
  const password = Deno.stdin.isTerminal() && Deno.stdout.isTerminal()
    ? promptSecret(`Password of ${user}:`, { mask: "" })
    : null;
  if (password !== null) return password;
  throw usageError(
    "The password of --user is missing, and there is no terminal to ask on: " +
      `give NAME:PASSWORD, @FILE or ${USER_VARIABLE}`,
  );
}

/** An environment variable, if it may be read without asking. */
function variable(name: string): string | undefined {
  return mayRead(name) ? Deno.env.get(name) || undefined : undefined;
}
