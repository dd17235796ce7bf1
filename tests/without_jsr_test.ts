import { assert, assertEquals, assertStringIncludes } from "@std/assert";

import config from "../deno.json" with { type: "json" };
import importMap from "../without_jsr/import_map.json" with { type: "json" };

const root = new URL("../", import.meta.url);
const folder = new URL("without_jsr/", root);
const FLAG = "--import-map=without_jsr/import_map.json\n";

const isStandIn = ([name]: [string, string]) => name.startsWith("@std/");
const fromJsr = ([, target]: [string, string]) => target.startsWith("jsr:");
const not = <T>(test: (it: T) => boolean) => (it: T) => !test(it);

/** Runs flags.ts against a registry, with nothing in the cache. */
async function flags(env: Record<string, string>) {
  const cache = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "without_jsr/flags.ts"],
      cwd: root,
      env: { DENO_DIR: cache, WITHOUT_JSR: "", NO_PROXY: "127.0.0.1", ...env },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

/** A registry of empty modules: for each name in the import map, but one. */
async function answer(request: Request, missing?: string): Promise<Response> {
  const { pathname } = new URL(request.url);
  const [, packageName, rest] = /^\/(@std\/[^/]+)\/(.+)$/.exec(pathname) ?? [];
  const range = Object.entries(config.imports)
    .find(([name]) => name === packageName)?.[1].split("@^")[1];
  if (range === undefined) return new Response(null, { status: 404 });
  const version = `${range}.0.0`.split(".").slice(0, 3).join(".");

  if (rest === "meta.json") {
    return Response.json({ versions: { [version]: {} }, latest: version });
  }
  if (rest !== `${version}_meta.json`) return new Response("export {};");

  const sha256 = new Uint8Array(
    await crypto.subtle.digest(
      "SHA-256",
      new TextEncoder().encode("export {};"),
    ),
  );
  const entries = Object.keys(importMap.imports)
    .filter((name) => `${name}/`.startsWith(`${packageName}/`))
    .filter((name) => name !== missing);
  return Response.json({
    exports: Object.fromEntries(
      entries.map((
        name,
      ) => [`.${name.slice(packageName!.length)}`, "./mod.ts"]),
    ),
    manifest: {
      "/mod.ts": { size: 10, checksum: `sha256-${sha256.toHex()}` },
    },
  });
}

Deno.test("import_map.json repeats what deno.json imports from npm", () => {
  const own = Object.entries(config.exports).map(([name, target]) => [
    config.name + name.slice(1),
    target.replace("./", "../"),
  ]);
  assertEquals(
    Object.fromEntries(
      Object.entries(importMap.imports).filter(not(isStandIn)),
    ),
    Object.fromEntries([
      ...own,
      ...Object.entries(config.imports).filter(not(fromJsr)),
    ]),
  );
});

Deno.test("import_map.json has a stand-in for each package from JSR", async () => {
  const standIns = Object.entries(importMap.imports).filter(isStandIn);
  for (const [, target] of standIns) {
    assert((await Deno.stat(new URL(target, folder))).isFile);
  }
  const packages = standIns.map(([name]) => name.split("/", 2).join("/"));
  const expected = Object.entries(config.imports).filter(fromJsr);
  assertEquals(
    [...new Set(packages)].sort(),
    expected.map(([name]) => name).sort(),
  );
});

Deno.test("flags.ts picks the stand-ins when asked to", async () => {
  const { code, stdout, stderr } = await flags({ WITHOUT_JSR: "1" });
  assertEquals({ code, stdout }, { code: 0, stdout: FLAG });
  assertStringIncludes(stderr, "stand-ins");
});

Deno.test("flags.ts picks the stand-ins when nothing answers", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const { code, stdout, stderr } = await flags({
    JSR_URL: `http://127.0.0.1:${port}/`,
  });
  assertEquals({ code, stdout }, { code: 0, stdout: FLAG });
  assertEquals(
    stderr,
    "JSR cannot be reached: using the stand-ins in without_jsr/ .\n",
  );
});

Deno.test("flags.ts takes a mirror that has every package for JSR", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => answer(request),
  );
  const result = await flags({
    JSR_URL: `http://127.0.0.1:${server.addr.port}/`,
  });
  assertEquals(result, {
    code: 0,
    stdout: "",
    stderr: "Using @std from JSR.\n",
  });
});

Deno.test("flags.ts picks the stand-ins when one entry point is missing", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => answer(request, "@std/testing/time"),
  );
  const { code, stdout } = await flags({
    JSR_URL: `http://127.0.0.1:${server.addr.port}/`,
  });
  assertEquals({ code, stdout }, { code: 0, stdout: FLAG });
});
