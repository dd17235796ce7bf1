/**
 * Tries the command line as users use it, with its own server:
 *
 * ```sh
 * deno run -A scripts/exercise.ts dist/wstap
 * deno run -A scripts/exercise.ts deno run -A cli.ts
 * ```
 *
 * Prints a line for each thing that it tries. The exit code is 1 if one failed.
 *
 * @module
 */

import denoJson from "../deno.json" with { type: "json" };
import { quietPort } from "../tests/fixtures/wait.ts";

/** The longest time of one run, in milliseconds. */
const PATIENCE = 30_000;

/** The result of a run of the command. */
interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/**
 * Starts a server with `/events` (a message every 10 ms), `/echo`, `/denied` (closes
 * with 4401), `/moved` (a redirect to `/echo`), and 404 for all other paths.
 */
function serve() {
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/moved") {
        return new Response("", {
          status: 302,
          headers: { Location: "/echo" },
        });
      }
      if (!["/events", "/echo", "/denied"].includes(pathname)) {
        return new Response("There is no such feed.\n", { status: 404 });
      }
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onerror = (event) => event.preventDefault();
      if (pathname === "/echo") {
        socket.onmessage = ({ data }) => socket.send(data);
        return response;
      }
      if (pathname === "/denied") {
        socket.onopen = () => socket.close(4401, "unauthorized");
        return response;
      }
      let seq = 0;
      const timer = setInterval(() => {
        if (socket.readyState === WebSocket.OPEN) {
          socket.send(JSON.stringify({ seq: seq++ }));
        }
      }, 10);
      socket.onclose = () => clearInterval(timer);
      return response;
    },
  );
}

/**
 * Tries a command.
 *
 * @param command The program, and its first arguments.
 * @param report Called with a line for each thing that was tried.
 * @returns The number of things that failed.
 */
export async function exercise(
  command: readonly string[],
  report: (line: string) => void,
): Promise<number> {
  const [program, ...first] = command;
  if (program === undefined) throw new TypeError("A command is missing");
  await using server = serve();
  const base = `ws://127.0.0.1:${server.addr.port}`;
  const start = (args: string[]) =>
    new Deno.Command(program, {
      args: [...first, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env: { NO_PROXY: "127.0.0.1" },
    }).spawn();
  const run = async (...args: string[]): Promise<Result> => {
    const child = start(args);
    const timer = setTimeout(() => child.kill(), PATIENCE);
    const { code, stdout, stderr } = await child.output();
    clearTimeout(timer);
    const text = (bytes: Uint8Array) =>
      new TextDecoder().decode(bytes).replaceAll("\r\n", "\n");
    return { code, stdout: text(stdout), stderr: text(stderr) };
  };

  const tries: Record<string, () => Promise<string | null>> = {
    async "the version"() {
      const result = await run("--version");
      return expect(result, 0, `wstap ${denoJson.version}`);
    },
    async "the response to the handshake"() {
      const result = await run("--head", `${base}/events`);
      return expect(
        result,
        0,
        "HTTP/1.1 101 Switching Protocols",
        /^sec-websocket-accept: /im,
      );
    },
    async "one batch"() {
      const result = await run(
        "-q",
        "--batch",
        "5s",
        "-n",
        "5",
        `${base}/events`,
      );
      const problem = expect(result, 0, "[", /^.*\n$/);
      if (problem !== null) return problem;
      const { length } = JSON.parse(result.stdout);
      return length === 5 ? null : `it holds ${length} messages`;
    },
    async "the response of the connection itself"() {
      const result = await run(
        ...["--capture", "direct", "-i", "-n", "1", `${base}/events`],
      );
      return expect(result, 0, "HTTP/1.1 101", /^\{"seq":0\}$/m);
    },
    async "a message sent and received"() {
      const result = await run("-q", "-s", "hello", "-n", "1", `${base}/echo`);
      return expect(result, 0, "hello\n");
    },
    async "a message sent after a redirect, and a wait for its answer"() {
      const result = await run(
        ...["-q", "-L", "-s", "hello", "-w", "2s", `${base}/moved`],
      );
      return expect(result, 0, "hello\n");
    },
    async "a server that closes with an error code"() {
      const { code, stdout, stderr } = await run("-q", `${base}/denied`);
      return expect(
        { code, stdout: stderr, stderr: stdout },
        7,
        "wstap: the server closed with 4401",
        /"unauthorized"/,
      );
    },
    async "a run that ends before it has enough"() {
      const result = await run(
        ...["-q", "-n", "100000", "--duration", "3s", `${base}/events`],
      );
      return expect(result, 8, '{"seq":0}\n');
    },
    async "help and completions"() {
      const help = expect(await run("--help"), 0, "wstap: ", /--stop-on/);
      const result = await run("completions", "bash");
      return help ?? expect(result, 0, "# Completions", /--stop-on/);
    },
    async "a feed recorded and replayed"() {
      const file = await Deno.makeTempFile({ suffix: ".ndjson" });
      try {
        const recorded = await run(
          ...["--format", "ndjson", "-o", file, "-n", "3", `${base}/events`],
        );
        const problem = expect(recorded, 0, "");
        if (problem !== null) return problem;
        await using child = start(["replay", "--speed", "max", file]);
        const timer = setTimeout(() => child.kill(), PATIENCE);
        const reader = child.stdout.getReader();
        const { value } = await reader.read();
        clearTimeout(timer);
        const url = new TextDecoder().decode(value).trim();
        const result = await run("-q", url);
        await reader.cancel();
        await child.stderr.cancel();
        return expect(result, 0, '{"seq":0}\n{"seq":1}\n{"seq":2}\n');
      } finally {
        await Deno.remove(file);
      }
    },
    async "round trips"() {
      const result = await run(
        ...["ping", "-n", "2", "--interval", "10ms", `${base}/echo`],
      );
      return expect(result, 0, "pong 1: ", /2 pongs received, 0% lost/);
    },
    async "a refusal"() {
      const { code, stdout, stderr } = await run(`${base}/nothing`);
      return expect(
        { code, stdout: stderr, stderr: stdout },
        3,
        "",
        /HTTP error: 404 Not Found/,
      );
    },
    async "a server that is not there"() {
      return expect(await run(`ws://127.0.0.1:${quietPort()}/`), 4, "");
    },
    async "a wrong option"() {
      return expect(await run("--frobnicate", base), 2, "");
    },
    async "a pipe that is closed"() {
      const child = start(["-q", `${base}/events`]);
      const timer = setTimeout(() => child.kill(), PATIENCE);
      const reader = child.stdout.getReader();
      const { value = new Uint8Array() } = await reader.read();
      await reader.cancel();
      const stderr = await new Response(child.stderr).text();
      const { code } = await child.status;
      clearTimeout(timer);
      const stdout = new TextDecoder().decode(value);
      const problem = expect({ code, stdout, stderr }, 0, '{"seq":0}');
      return problem ?? (stderr === "" ? null : `it complained: ${stderr}`);
    },
  };

  let failures = 0;
  for (const [name, attempt] of Object.entries(tries)) {
    const problem = await attempt();
    report(
      problem === null ? `ok      ${name}` : `FAILED  ${name}: ${problem}`,
    );
    if (problem !== null) failures++;
  }
  return failures;
}

/** Describes how a result differs from the expected one; `null` if it does not. */
function expect(
  { code, stdout, stderr }: Result,
  wanted: number,
  beginning: string,
  pattern = /(?:)/,
): string | null {
  if (
    code === wanted && stdout.startsWith(beginning) && pattern.test(stdout)
  ) return null;
  return `expected code ${wanted}, ${
    JSON.stringify(beginning)
  } and ${pattern}, ` +
    `got ${JSON.stringify({ code, stdout, stderr })}`;
}

if (import.meta.main) {
  if (Deno.args.length === 0) {
    console.error(
      "Usage: deno run -A scripts/exercise.ts COMMAND [ARGUMENT...]",
    );
    Deno.exit(2);
  }
  const failures = await exercise(Deno.args, console.log);
  Deno.exit(failures === 0 ? 0 : 1);
}
