/**
 * Starts the fuzzing server of Autobahn|Testsuite, which must be installed as
 * `wstest`, or be available through Docker.
 *
 * @module
 */

import { connectWebSocket } from "../mod.ts";
import type { Report } from "./report.ts";

const IMAGE = "crossbario/autobahn-testsuite:25.10.1@sha256:" +
  "519915fb568b04c9383f70a1c405ae3ff44ab9e35835b085239c258b6fac3074";

const HOW_TO_GET_IT = `\
Autobahn|Testsuite was not found. One of these brings it:
- Docker: start its engine; its image is downloaded at the first run.
- Python 2.7 or PyPy 2.7: pip install autobahntestsuite
  Then "wstest" must be on the PATH, or WSTEST must name it.`;

/** The longest time until the server listens, in milliseconds. */
const PATIENCE = 60_000;

/** Thrown if neither `wstest` nor Docker is found. */
export class NotFoundError extends Error {
  /** The name of the class. */
  override readonly name = "NotFoundError";

  constructor() {
    super(HOW_TO_GET_IT);
  }
}

/** A running server. Disposing of it ends it. */
export interface FuzzingServer extends AsyncDisposable {
  /** `ws://127.0.0.1:port`. */
  readonly url: string;
  /** Whether the server has ended by itself. */
  readonly ended: boolean;
  /** Sends a request, such as `/getCaseCount`, and returns the answer, which is parsed from JSON. */
  ask(target: string): Promise<unknown>;
  /** Makes the server write its report, and reads it. */
  report(): Promise<Report>;
}

/**
 * Starts the server with some of its cases.
 *
 * @param cases Patterns such as `"9.*"`.
 * @param folder The folder for its report, whose main page is `index.html`.
 * @throws {NotFoundError} If neither `wstest` nor Docker is found.
 */
export async function startServer(
  cases: readonly string[],
  folder: string,
): Promise<FuzzingServer> {
  const command = await findCommand();
  await Deno.mkdir(folder, { recursive: true });
  const port = freePort();
  const inside = command.isDocker ? "/reports" : folder;
  await Deno.writeTextFile(
    `${folder}/spec.json`,
    JSON.stringify({ url: `ws://127.0.0.1:${port}`, outdir: inside, cases }),
  );
  const wstest = ["-m", "fuzzingserver", "-s", `${inside}/spec.json`];
  const [program, ...args] = command.isDocker
    ? [...dockerRun(port, folder), "wstest", ...wstest, "-u", "0"]
    : [command.program, ...wstest, "-u", "0"];
  const child = new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  let ended = false;
  child.status.then(() => ended = true);

  const url = `ws://127.0.0.1:${port}`;
  const server = {
    url,
    get ended() {
      return ended;
    },
    async ask(target: string) {
      const [connection] = await connectWebSocket(url + target, {
        capture: "direct",
      });
      const answer = await connection.recv();
      await connection.close();
      return answer === null ? null : JSON.parse(answer);
    },
    async report() {
      await server.ask("/updateReports?agent=wstap");
      return JSON.parse(await Deno.readTextFile(`${folder}/index.json`));
    },
    async [Symbol.asyncDispose]() {
      if (!ended) child.kill();
      await child.status;
    },
  };
  const start = performance.now();
  while (!ended && performance.now() - start < PATIENCE) {
    try {
      await server.ask("/getCaseCount");
      return server;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  await server[Symbol.asyncDispose]();
  throw new Error(
    `The fuzzing server did not start: ${program} ${args.join(" ")}`,
  );
}

type Command = { isDocker: true } | { isDocker: false; program: string };

async function findCommand(): Promise<Command> {
  const program = Deno.env.get("WSTEST") || "wstest";
  if (await works(program, ["--autobahnversion"])) {
    return { isDocker: false, program };
  }
  if (await works("docker", ["info"])) {
    const { success } = await new Deno.Command("docker", {
      args: ["pull", "--quiet", IMAGE],
      stdout: "null",
    }).output();
    if (!success) throw new Error(`Docker could not bring the image ${IMAGE}`);
    return { isDocker: true };
  }
  throw new NotFoundError();
}

/** Whether a program exists and runs successfully. */
async function works(program: string, args: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function dockerRun(port: number, folder: string): string[] {
  // So that the files that the server writes belong to the current user.
  const user = Deno.uid() === null
    ? []
    : ["--user", `${Deno.uid()}:${Deno.gid()}`];
  return [
    ...["docker", "run", "--rm", "--init", ...user],
    ...["--publish", `127.0.0.1:${port}:${port}`],
    ...["--volume", `${folder}:/reports`, IMAGE],
  ];
}

/** Finds a free port. The server has to be given one, because it does not report the port that it gets. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
