/**
 * Serves `dist/release/` over HTTP, installs wstap from there with the script for this
 * system, and tries the installed executable:
 * `deno run -A scripts/try_release.ts`.
 *
 * @module
 */

import { exercise } from "./exercise.ts";

/**
 * Serves a release, and installs it with the script.
 *
 * @param release The folder with the archives and the scripts.
 * @param dir The folder to install into.
 * @returns The exit code and the output of the script.
 */
export async function install(
  release: URL,
  dir: string,
): Promise<{ code: number; output: string }> {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const [, name] =
        /^\/latest\/download\/([^/]+)$/.exec(new URL(request.url).pathname) ??
          [];
      try {
        const file = await Deno.open(new URL(name ?? "nothing", release));
        return new Response(file.readable);
      } catch {
        return new Response(null, { status: 404 });
      }
    },
  );
  const [program, ...args] = Deno.build.os === "windows"
    ? ["powershell", "-ExecutionPolicy", "Bypass", "-File", "install.ps1"]
    : ["sh", "install.sh"];
  const { code, stdout, stderr } = await new Deno.Command(program!, {
    args,
    cwd: release,
    env: {
      WSTAP_RELEASES: `http://127.0.0.1:${server.addr.port}`,
      WSTAP_VERSION: "",
      WSTAP_DIR: dir,
      NO_PROXY: "127.0.0.1",
      no_proxy: "127.0.0.1",
    },
  }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/**
 * Installs a release into a temporary folder, and tries it.
 *
 * @returns The number of things that failed.
 */
export async function tryRelease(
  release: URL,
  report: (line: string) => void,
): Promise<number> {
  const dir = await Deno.makeTempDir();
  try {
    const { code, output } = await install(release, dir);
    report(output.trimEnd());
    if (code !== 0) return 1;
    const name = Deno.build.os === "windows" ? "wstap.exe" : "wstap";
    return await exercise([`${dir}/${name}`], report);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  const release = new URL("../dist/release/", import.meta.url);
  const failures = await tryRelease(release, console.log);
  Deno.exit(failures === 0 ? 0 : 1);
}
