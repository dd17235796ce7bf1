import { CAPTURES } from "../fixtures/captures.ts";
import { closePayload, frame, rawServer } from "../fixtures/raw.ts";
import { closesWith } from "../hostile/frames.ts";
import { behave, expectedWith, matches, observe } from "../hostile/hostile.ts";
import { within } from "../fixtures/wait.ts";
import { form } from "./_form.ts";

/** Every so many codes, so that the short form is short. */
const STEP = form(7, 1);

for (const capture of CAPTURES) {
  Deno.test(`every close code from 0 to 5000 has its outcome (${capture})`, async () => {
    await using server = rawServer(async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      await peer.send("hello");
      const code = Number(peer.target.slice(1));
      await peer.write(frame(8, closePayload(code, "bye")));
      await behave(peer);
    });
    const wrong: string[] = [];
    let next = 0;
    const lane = async () => {
      for (let code; (code = next) <= 5000;) {
        next += STEP;
        const expected = expectedWith(closesWith(code), capture);
        const { outcome } = await within(
          observe(`${server.url}/${code}`, capture, {}, 60_000),
          60_000,
          `${code}`,
        );
        if (!matches(expected, outcome)) {
          wrong.push(`${code}: ${outcome}`);
        }
      }
    };
    await Promise.all(Array.from({ length: 16 }, lane));
    if (wrong.length > 0) throw new Error(wrong.slice(0, 20).join("\n"));
  });
}
