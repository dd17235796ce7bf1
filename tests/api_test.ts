import { assertEquals } from "@std/assert";
import { describeApi } from "../scripts/api.ts";
import { moduleFlags, rootUrl } from "./fixtures/command.ts";

Deno.test({
  name:
    "the public interface is the one in tests/fixtures/api.txt (if not: deno task api > tests/fixtures/api.txt, and a line in CHANGELOG.md)",
  // Older versions describe some types in other words.
  ignore: /^2\.[0-8]\./.test(Deno.version.deno),
  async fn() {
    const recorded = await Deno.readTextFile(
      new URL("tests/fixtures/api.txt", rootUrl),
    );
    assertEquals(await describeApi(moduleFlags()), recorded);
  },
});
