/** Programs that do the same with what people use; each is measured where it is installed. */
export type Peer = "ws in Deno" | "ws in Node" | "Python websockets";

/** How a peer is started, before the address, the count and the size. */
export interface Command {
  path: string;
  args: string[];
  env?: Record<string, string>;
}

const here = (name: string) => new URL(`peers/${name}`, import.meta.url);

/** Runs a program and gives its output, `null` if it is missing or fails. */
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

/** Finds the peers that are installed, with their versions. */
export async function findPeers(
  flags: string[],
): Promise<Map<Peer, Command & { version: string }>> {
  const peers = new Map<Peer, Command & { version: string }>();
  const deno = Deno.execPath();

  // Deno has the package in its cache, where Node can read it too.
  const info = await output(deno, ["info", "--json", ...flags, "npm:ws"]);
  const ws = info === null
    ? undefined
    : Object.values<{ version: string; localPath: string }>(
      JSON.parse(info).npmPackages,
    )[0];
  if (ws !== undefined) {
    const path = here("ws.mjs").pathname;
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
        args: [path],
        env: { WS: `file://${ws.localPath}/wrapper.mjs` },
        version: `${version}, Node ${node.trim()}`,
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
      args: [here("python_websockets.py").pathname],
      version: `websockets ${python.trim()}`,
    });
  }
  return peers;
}
