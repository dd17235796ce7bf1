import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  createDeflate,
  type DeflateParameters,
  parseAgreement,
} from "../../src/websocket/deflate.ts";
import type { Inflater } from "../../src/websocket/receiver.ts";
import { loadNodeZlib, loadPako } from "../../src/websocket/zlib.ts";
import { ProtocolError } from "../../src/websocket/protocol_error.ts";
import config from "../../deno.json" with { type: "json" };
import importMap from "../../without_jsr/import_map.json" with { type: "json" };
import { rootUrl } from "../fixtures/command.ts";

const PAKO = "npm:pako@3.0.3";
const IMPORT_MAP = import.meta.resolve("../../without_jsr/import_map.json");

/** Inflates a part, however many calls that takes. */
function* inflate(
  inflater: Inflater,
  part: Uint8Array,
  last: boolean,
): Generator<Uint8Array> {
  do {
    yield inflater.push(part, last, 2 ** 20).slice();
    part = part.subarray(inflater.taken);
  } while (!inflater.isDone);
}

const encode = (text: string) => new TextEncoder().encode(text);

const DEFAULTS: DeflateParameters = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

const AGREEMENTS: [string, Partial<DeflateParameters>][] = [
  ["permessage-deflate", {}],
  ["Permessage-Deflate", {}],
  ["permessage-deflate; server_no_context_takeover", {
    serverNoContextTakeover: true,
  }],
  ["permessage-deflate;client_no_context_takeover", {
    clientNoContextTakeover: true,
  }],
  ["permessage-deflate; server_max_window_bits=10", {
    serverMaxWindowBits: 10,
  }],
  ['permessage-deflate; client_max_window_bits="9"', {
    clientMaxWindowBits: 9,
  }],
  [
    "permessage-deflate; client_max_window_bits=8 ; server_max_window_bits = 15",
    { clientMaxWindowBits: 8 },
  ],
];

for (const [answer, expected] of AGREEMENTS) {
  Deno.test(`parseAgreement() takes ${answer}`, () => {
    assertEquals(parseAgreement(answer), { ...DEFAULTS, ...expected });
  });
}

const DISAGREEMENTS = [
  "",
  "x-webkit-deflate-frame",
  "permessage-deflate, permessage-deflate",
  "permessage-deflate; unknown",
  "permessage-deflate;",
  "permessage-deflate; server_no_context_takeover=1",
  "permessage-deflate; client_max_window_bits",
  "permessage-deflate; client_max_window_bits=7",
  "permessage-deflate; client_max_window_bits=16",
  "permessage-deflate; client_max_window_bits=08",
  "permessage-deflate; server_max_window_bits",
  "permessage-deflate; server_max_window_bits=x",
  "permessage-deflate\xa0",
  "permessage-deflate; server_max_window_bits=\xa09",
  "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
];

for (const answer of DISAGREEMENTS) {
  Deno.test(`parseAgreement() refuses "${answer}", and says why`, () => {
    assertEquals(typeof parseAgreement(answer), "string");
  });
}

Deno.test("parseAgreement() shows no control character", () => {
  const problem = parseAgreement("permessage-deflate; \x1b[2J") as string;
  assert(problem.includes("\\u001b[2J"), problem);
});

const MESSAGES = [
  encode("a"),
  encode('{"symbol":"BTC","price":1}'.repeat(3)),
  encode('{"symbol":"BTC","price":2}'.repeat(3)),
  new Uint8Array(0),
  crypto.getRandomValues(new Uint8Array(50_000)),
  encode("x".repeat(300_000)),
];

/** The bytes of parts. */
function join(parts: Iterable<Uint8Array>): Uint8Array {
  return new Uint8Array([...parts].flatMap((part) => [...part]));
}

const LIBRARIES = { "node:zlib": loadNodeZlib, pako: loadPako };

for (const [name, load] of Object.entries(LIBRARIES)) {
  for (const noContext of [false, true]) {
    for (const bits of [8, 9, 12, 15]) {
      Deno.test(`what is deflated inflates, in any pieces (${name}, ${bits} bits${noContext ? ", no context" : ""})`, async () => {
        const parameters = {
          serverNoContextTakeover: noContext,
          clientNoContextTakeover: noContext,
          serverMaxWindowBits: bits,
          clientMaxWindowBits: bits,
        };
        const zlib = await load();
        const { deflater } = await createDeflate(parameters, "client", zlib);
        const server = await createDeflate(parameters, "server", zlib);
        for (const message of [...MESSAGES, ...MESSAGES.slice(0, -1)]) {
          const deflated = deflater.deflate(message)?.slice();
          if (deflated === undefined) continue;
          const parts: Uint8Array[] = [];
          const size = Math.max(1, Math.ceil(deflated.length / 3));
          for (let at = 0; at < deflated.length; at += size) {
            const last = at + size >= deflated.length;
            const part = deflated.subarray(at, at + size);
            parts.push(...inflate(server.inflater, part, last));
          }
          assertEquals(
            new Uint8Array(await new Blob(parts as BlobPart[]).bytes()),
            message,
          );
        }
        const big = deflater.deflate(MESSAGES.at(-1)!);
        if (bits === 8) assertEquals(big, null);
        else assert(big!.length < 5000);
        for (const it of [deflater, server.inflater, server.deflater]) {
          it.close();
        }
      });
    }
  }

  Deno.test(`a message is small with the context of the one before it (${name})`, async () => {
    const { deflater } = await createDeflate(DEFAULTS, "client", await load());
    const message = encode(
      JSON.stringify({ id: 1, text: "something long" }).repeat(2),
    );
    const first = deflater.deflate(message)!.length;
    assert(deflater.deflate(message)!.length < first / 2);
    assertEquals(deflater.deflate(encode("tiny")), null);
  });

  Deno.test(`a message that does not get smaller is sent as it is, if there is no context (${name})`, async () => {
    const parameters = { ...DEFAULTS, clientNoContextTakeover: true };
    const { deflater } = await createDeflate(
      parameters,
      "client",
      await load(),
    );
    const noise = crypto.getRandomValues(new Uint8Array(300));
    assertEquals(deflater.deflate(noise), null);
    assert(deflater.deflate(new Uint8Array(300))!.length < 100);
  });

  Deno.test(`what is not deflate is refused with 1007 (${name})`, async () => {
    const { inflater } = await createDeflate(DEFAULTS, "client", await load());
    const error = assertThrows(
      () => inflater.push(new Uint8Array([0xff, 0xff, 0xff]), true, 1000),
      ProtocolError,
    );
    assertEquals(error.code, 1007);
  });

  Deno.test(`a final block within a message is taken, and the context goes on (RFC 7692 section 7.2.3.4, ${name})`, async () => {
    const { inflater } = await createDeflate(DEFAULTS, "client", await load());
    const hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    assertEquals(
      inflater.push(new Uint8Array(hello), true, 1000),
      encode("Hello"),
    );
    // Section 7.2.3.2: "Hello" again, as a reference to the window.
    const again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    assertEquals(
      inflater.push(new Uint8Array(again), true, 1000),
      encode("Hello"),
    );
  });

  for (const noContext of [false, true]) {
    Deno.test(`final blocks anywhere lose nothing of ${noContext ? "messages without context" : "the context, however long it is"} (${name})`, async () => {
      const parameters = { ...DEFAULTS, serverNoContextTakeover: noContext };
      const zlib = await load();
      const { inflater } = await createDeflate(parameters, "client", zlib);
      const { deflater } = await createDeflate(parameters, "server", zlib);
      for (let i = 0; i < 60; i++) {
        const message = encode(`${i},`.repeat(300 * (i % 50) + 300));
        const deflated = deflater.deflate(message)!.slice();
        const end = i % 3 === 0 ? [0, 0, 0xff, 0xff, 3, 0, 3, 0, 0] : [];
        const payload = join([deflated, new Uint8Array(end)]);
        const cut = Math.min(payload.length, i * 7);
        const parts = [
          ...inflate(inflater, payload.subarray(0, cut), false),
          ...inflate(inflater, payload.subarray(cut), true),
        ];
        assertEquals(
          new TextDecoder().decode(join(parts)),
          `${i},`.repeat(300 * (i % 50) + 300),
        );
      }
    });
  }

  Deno.test(`inflating stops when it has cost its budget, wherever that is (${name})`, async () => {
    const zlib = await load();
    const { inflater } = await createDeflate(DEFAULTS, "client", zlib);
    const { deflater } = await createDeflate(DEFAULTS, "server", zlib);
    const message = encode('{"price":1,"symbol":"BTC"}'.repeat(4000));
    const deflated = deflater.deflate(message)!.slice();
    for (const budget of [1, 100, 5000, 1e6]) {
      let part: Uint8Array = deflater.deflate(message)!.slice();
      if (budget === 1) part = deflated;
      const parts: Uint8Array[] = [];
      do {
        parts.push(inflater.push(part, true, budget).slice());
        assert(inflater.taken <= Math.ceil(budget / 16));
        part = part.subarray(inflater.taken);
      } while (!inflater.isDone);
      assertEquals(part.length, 0);
      assertEquals(
        new TextDecoder().decode(join(parts)),
        new TextDecoder().decode(message),
      );
      if (budget !== 1) continue;
      for (const it of [1, 2, 3]) deflater.deflate(encode(`${it}`.repeat(5)));
    }
  });
}

Deno.test("the library that compresses is not even fetched before it is needed", async () => {
  const fetched: string[] = [];
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => {
      fetched.push(request.url);
      return new Response("export {};", {
        headers: { "content-type": "text/javascript" },
      });
    },
  );
  const host = `127.0.0.1:${server.addr.port}`;
  const imports = Object.fromEntries(
    Object.entries(importMap.imports).map(([name, path]) => [
      name,
      path.startsWith(".") ? new URL(path, IMPORT_MAP).href : path,
    ]),
  );
  const map = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(
      map,
      JSON.stringify({
        imports: { ...imports, [PAKO]: `http://${host}/pako.js` },
      }),
    );
    const flags = [`--import-map=${map}`, `--allow-import=${host}`];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", ...flags, "cli.ts", "--help"],
      cwd: rootUrl,
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(fetched, []);
    // A task fetches all that is listed there.
    const listed = JSON.stringify(config.imports);
    assertEquals(listed.includes("npm:"), false, listed);
  } finally {
    await Deno.remove(map);
  }
});
