import { assertEquals, assertStringIncludes } from "@std/assert";
import { failures, table } from "../conformance/report.ts";
import { moduleFlags, output, path } from "./fixtures/command.ts";

const OK = { behavior: "OK", behaviorClose: "OK" };

Deno.test("table() counts the outcomes of each category and capture", () => {
  const report = {
    direct: { "1.1": OK, "1.2": { ...OK, behavior: "NON-STRICT" }, "13.1": OK },
    none: { "1.1": OK, "1.2": OK },
  };
  assertEquals(
    table(report, ["1.1", "1.2", "13.1"], ["direct", "none"]).split("\n"),
    [
      '| cases                      | `"direct"`         | `"none"`        |',
      "| -------------------------- | ------------------ | --------------- |",
      "| 1 Framing                  | 1 OK, 1 NON-STRICT | 2 OK            |",
      "| 13 Compression, parameters | 1 OK               | 1 MISSING       |",
      "| all                        | 2 OK, 1 NON-STRICT | 2 OK, 1 MISSING |",
    ],
  );
});

Deno.test("failures() lists what did not pass, did not end well or is missing", () => {
  const outcomes = {
    "1.1": OK,
    "1.2": { ...OK, behavior: "NON-STRICT" },
    "1.3": { ...OK, behavior: "INFORMATIONAL" },
    "1.4": { ...OK, behavior: "FAILED" },
    "1.5": { ...OK, behavior: "UNIMPLEMENTED" },
    "1.6": { ...OK, behaviorClose: "UNCLEAN" },
  };
  assertEquals(failures(outcomes, [...Object.keys(outcomes), "1.7"]), [
    "1.4 FAILED",
    "1.5 UNIMPLEMENTED",
    "1.6 OK, but its end UNCLEAN",
    "1.7 MISSING",
  ]);
});

Deno.test("deno task conformance fails without a server, and says how to get one", async () => {
  const { code, stderr } = await output(
    Deno.execPath(),
    ["run", "-A", "--quiet", ...moduleFlags(), path("conformance/main.ts")],
    { env: { PATH: "", WSTEST: "nothing-of-that-name" } },
  );
  assertEquals(code, 1);
  assertStringIncludes(stderr, "pip install autobahntestsuite");
});
