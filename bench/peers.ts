/** Programs that measure themselves. Their arguments are a URL, a count and a size. */
export type Peer =
  | "ws in Deno"
  | "ws in Node"
  | "Python websockets"
  | "coder/websocket"
  | "tokio-tungstenite";

/** Programs that print the messages of a feed. Their argument is its URL. */
export type Tool = "wstap" | "wstap, direct" | "Node" | "wscat" | "websocat";

/** How to start a program. */
export interface Command {
  path: string;
  args: string[];
  env?: Record<string, string>;
  version: string;
}

const here = (name: string) => `${import.meta.dirname}/${name}`;

/** Runs a program and returns its output; `null` if it is missing or fails. */
async function output(path: string, args: string[]): Promise<string | null> {
  try {
    const { success, stdout } = await new Deno.Command(path, {
      args,
      stderr: "null",
    }).output();
    return success ? new TextDecoder().decode(stdout) : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The shortest Node program that prints a feed. */
const ONE_LINER = "new (require(process.env.WS))(process.argv[1])" +
  '.on("message", (data) => process.stdout.write(data + "\\n"))';

/** The folder of the compiled peers, which is kept between runs. */
const BUILD = here(".build");

/** The peers that have to be compiled, each with a function that does it. */
const BUILDS: Record<string, (short: boolean) => Promise<Command | null>> = {
  "coder/websocket": async (short) => {
    const path = `${BUILD}/coder_websocket`;
    const folder = here("peers/coder_websocket");
    const build = ["-C", folder, "build", "-o", path, "."];
    return await compiled("go", build, "version", path, short);
  },
  "tokio-tungstenite": async (short) => {
    const manifest = here("peers/tokio_tungstenite/Cargo.toml");
    const build = ["build", "--quiet", "--release"]
      .concat("--manifest-path", manifest, "--target-dir", BUILD);
    const path = `${BUILD}/release/tokio_tungstenite_peer`;
    return await compiled("cargo", build, "--version", path, short);
  },
};

/**
 * Compiles a peer. Returns `null` if the compiler is missing or fails. A short run
 * does not compile, and returns `null` if the peer has not been compiled before.
 */
async function compiled(
  compiler: string,
  build: string[],
  version: string,
  path: string,
  short: boolean,
): Promise<Command | null> {
  const release = await output(compiler, [version]);
  if (release === null) return null;
  const isThere = () => Deno.stat(path).then(() => true, () => false);
  if (!short || await isThere()) {
    if (await output(compiler, build) === null) {
      console.error(`${compiler} could not compile a peer: left out`);
      return null;
    }
  }
  if (!await isThere()) return null;
  return {
    path,
    args: [],
    version: release.trim().replace(/^go version /, ""),
  };
}

/** Returns the path of `websocat`, which is compiled if it is not installed; `null` if that is not possible. */
async function findWebsocat(short: boolean): Promise<string | null> {
  if (await output("websocat", ["--version"]) !== null) return "websocat";
  const path = `${BUILD}/bin/websocat`;
  if (await output(path, ["--version"]) !== null) return path;
  if (short) return null;
  console.error("Compiling websocat, which takes some minutes");
  const install = ["install", "--quiet", "--locked", "--root", BUILD];
  return await output("cargo", [...install, "websocat@1.14.1"]) === null
    ? null
    : path;
}

/**
 * Finds the peers that are installed or can be compiled.
 *
 * @param flags The flags with which Deno finds the packages of this module.
 * @param short Whether the run is short, so that nothing should be compiled.
 */
export async function findPeers(
  flags: string[],
  short: boolean,
): Promise<Map<Peer | Tool, Command>> {
  const peers = new Map<Peer | Tool, Command>();
  const deno = Deno.execPath();

  for (const capture of ["none", "direct"]) {
    peers.set(capture === "none" ? "wstap" : "wstap, direct", {
      path: deno,
      args: [
        "run",
        "-A",
        ...flags,
        here("../cli.ts"),
        "--quiet",
        `--capture=${capture}`,
        // So that the buffer does not overflow while the disk is busy.
        ...(capture === "none" ? ["--max-buffer=1G"] : []),
      ],
      version: "",
    });
  }

  // Node uses the copy of the package in Deno's cache.
  const info = await output(deno, [
    "info",
    "--json",
    "npm:ws@8.23.0",
  ]);
  const ws = info === null
    ? undefined
    : Object.values<{ version: string; localPath: string }>(
      JSON.parse(info).npmPackages,
    )[0];
  if (ws !== undefined) {
    const path = here("peers/ws.mjs");
    const version = `ws ${ws.version}`;
    peers.set("ws in Deno", {
      path: deno,
      args: ["run", "-A", ...flags, path],
      version,
    });
    const node = await output("node", ["--version"]);
    if (node !== null) {
      peers.set("ws in Node", {
        path: "node",
        args: ["--expose-gc", path],
        env: { WS: `file://${ws.localPath}/wrapper.mjs` },
        version: `${version}, Node ${node.trim()}`,
      });
      peers.set("Node", {
        path: "node",
        args: ["-e", ONE_LINER],
        env: { WS: ws.localPath },
        version: "",
      });
    }
  }

  const python = await output("python3", [
    "-c",
    "import websockets, sys; " +
    "print(websockets.__version__ + ', Python ' + sys.version.split()[0])",
  ]);
  if (python !== null) {
    peers.set("Python websockets", {
      path: "python3",
      args: [here("peers/python_websockets.py")],
      version: `websockets ${python.trim()}`,
    });
  }

  for (const [name, build] of Object.entries(BUILDS)) {
    const command = await build(short);
    if (command !== null) peers.set(name as Peer, command);
  }

  const wscat = await output("wscat", ["--version"]);
  if (wscat !== null) {
    peers.set("wscat", {
      path: "wscat",
      args: ["--connect"],
      version: `wscat ${wscat.trim()}`,
    });
  }
  const path = await findWebsocat(short);
  const websocat = path && await output(path, ["--version"]);
  if (path !== null && websocat !== null) {
    peers.set("websocat", {
      path,
      args: ["--unidirectional-reverse"],
      version: websocat.trim(),
    });
  }
  return peers;
}
