/** What the process ends with. The help lists them. */
export const EXIT = {
  ended: 0,
  lost: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  output: 5,
  permission: 6,
  internal: 70,
  interrupted: 130,
  terminated: 143,
} as const;

/** One of the codes in {@linkcode EXIT}. */
export type ExitCode = typeof EXIT[keyof typeof EXIT];

/** An error whose message is all that the user needs, with the code to end with. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: ExitCode;

  constructor(code: ExitCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The command line itself is wrong. */
export function usageError(message: string): CliError {
  return new CliError(EXIT.usage, message);
}
