import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";

import config from "../deno.json" with { type: "json" };
import importMap from "../without_jsr/import_map.json" with { type: "json" };
import { quietPort } from "./fixtures/wait.ts";

const folder = new URL("../without_jsr/", import.meta.url);
const FLAG = "--import-map=without_jsr/import_map.json\n";
const VERSION = "1.0.0";
const CODE = "export {};";

const entryPoints = Object.keys(importMap.imports).filter(isStd);
const packages = [...new Set(entryPoints.map(packageOf))].sort();

function isStd(name: string): boolean {
  return name.startsWith("@std/");
}

function packageOf(entryPoint: string): string {
  return entryPoint.split("/", 2).join("/");
}

/**
 * Runs flags.ts with nothing in the cache, in a project of its own, since a
 * clone may have `"links"` or other ways to JSR.
 */
async function flags(env: Record<string, string>) {
  const project = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${project}/without_jsr`);
    for (const file of ["flags.ts", "import_map.json"]) {
      const copy = `${project}/without_jsr/${file}`;
      await Deno.copyFile(new URL(file, folder), copy);
    }
    const imports = Object.fromEntries(
      packages.map((name) => [name, `jsr:${name}@^${VERSION}`]),
    );
    await Deno.writeTextFile(
      `${project}/deno.json`,
      JSON.stringify({ imports, lock: false }),
    );
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "without_jsr/flags.ts"],
      cwd: project,
      env: {
        DENO_DIR: `${project}/cache`,
        NO_PROXY: "127.0.0.1",
        WITHOUT_JSR: "",
        ...env,
      },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  } finally {
    await Deno.remove(project, { recursive: true });
  }
}

/** A registry that has these entry points, all of them empty. */
function serveJsr(entryPoints: string[]) {
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const [, name, file] =
        /^\/(@std\/[^/]+)\/(.+)$/.exec(new URL(request.url).pathname) ?? [];
      if (file === "meta.json") {
        return Response.json({ versions: { [VERSION]: {} }, latest: VERSION });
      }
      if (file !== `${VERSION}_meta.json`) return new Response(CODE);
      const bytes = new TextEncoder().encode(CODE);
      const digest = await crypto.subtle.digest("SHA-256", bytes);
      const hex = Array.from(
        new Uint8Array(digest),
        (byte) => byte.toString(16).padStart(2, "0"),
      );
      const checksum = `sha256-${hex.join("")}`;
      const exports = entryPoints
        .filter((it) => packageOf(it) === name)
        .map((it) => [`.${it.slice(name!.length)}`, "./mod.ts"]);
      return Response.json({
        exports: Object.fromEntries(exports),
        manifest: { "/mod.ts": { size: bytes.length, checksum } },
      });
    },
  );
}

Deno.test("import_map.json repeats what deno.json imports from npm", () => {
  const own = Object.entries(config.exports).map(([name, target]) => [
    config.name + name.slice(1),
    target.replace("./", "../"),
  ]);
  const others = (imports: Record<string, string>) =>
    Object.entries(imports).filter(([name]) => !isStd(name));
  assertEquals(
    Object.fromEntries(others(importMap.imports)),
    Object.fromEntries([...own, ...others(config.imports)]),
  );
});

Deno.test("import_map.json has a stand-in for each package of @std", async () => {
  assertEquals(packages, Object.keys(config.imports).filter(isStd).sort());
  for (const [name, target] of Object.entries(importMap.imports)) {
    if (isStd(name)) assert((await Deno.stat(new URL(target, folder))).isFile);
  }
});

Deno.test("flags.ts picks the stand-ins when asked to", async () => {
  await using server = serveJsr(entryPoints);
  const { code, stdout, stderr } = await flags({
    JSR_URL: `http://127.0.0.1:${server.addr.port}/`,
    WITHOUT_JSR: "1",
  });
  assertEquals({ code, stdout }, { code: 0, stdout: FLAG });
  assertStringIncludes(stderr, "stand-ins");
});

Deno.test("flags.ts picks the stand-ins when nothing answers", async () => {
  const { code, stdout, stderr } = await flags({
    JSR_URL: `http://127.0.0.1:${quietPort()}/`,
  });
  assertEquals({ code, stdout }, { code: 0, stdout: FLAG });
  assertEquals(
    stderr,
    "JSR cannot be reached: using the stand-ins in without_jsr/ .\n",
  );
});

Deno.test("flags.ts takes a mirror that has every package for JSR", async () => {
  await using server = serveJsr(entryPoints);
  const result = await flags({
    JSR_URL: `http://127.0.0.1:${server.addr.port}/`,
  });
  assertEquals(result, {
    code: 0,
    stdout: "",
    stderr: "Using @std from JSR.\n",
  });
});

Deno.test("flags.ts picks the stand-ins when an entry point is missing", async () => {
  await using server = serveJsr(entryPoints.slice(0, -1));
  const { code, stdout } = await flags({
    JSR_URL: `http://127.0.0.1:${server.addr.port}/`,
  });
  assertEquals({ code, stdout }, { code: 0, stdout: FLAG });
});

Deno.test("assertEquals() of the stand-ins compares bytes, wherever in their buffer they lie", () => {
  const view = new Uint8Array([0, 1, 2, 3]).subarray(1, 3);
  assertEquals(view, new Uint8Array([1, 2]));
  assertEquals([{ view }], [{ view: new Uint8Array([1, 2]) }]);
  assertEquals(new Float64Array([NaN]), new Float64Array([NaN]));
  assertNotEquals(view, new Uint8Array([1, 3]));
  assertNotEquals(view, new Uint8Array([1, 2, 3]));
  assertNotEquals<ArrayBufferView>(view, new Int8Array([1, 2]));
});
