/**
 * Errors of the system, such as `Deno.errors.NotFound`.
 *
 * @module
 */

/** An error of the system, whose class says which. */
export type SystemError = Error & {
  constructor: new (message: string, options: ErrorOptions) => Error;
};

/** Whether an error is one of `Deno.errors`. */
export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error &&
    Object.values(Deno.errors).some((type) => error.constructor === type);
}

/**
 * Creates an error of the same class that says what could not be done, and leaves
 * out Deno's words around the reason. Any other error is returned unchanged.
 */
export function explained(problem: string, error: unknown): unknown {
  if (!isSystemError(error)) return error;
  return new error.constructor(`${problem}: ${reasonOf(error)}`, {
    cause: error,
  });
}

function reasonOf(error: Error): string {
  if (error instanceof Deno.errors.NotCapable) {
    const flag = /--allow-\w+/.exec(error.message)?.[0] ?? "a permission";
    return `it needs ${flag}`;
  }
  return error.message.replace(/ \(os error \d+\).*$/s, "");
}
