/** Echoes over every capture, for a network that loses packets; prints `ok`. */

import { connectWebSocket } from "../../mod.ts";
import { CAPTURES } from "../fixtures/captures.ts";
import { spawnServer } from "../fixtures/child.ts";

await using server = await spawnServer("ws");
await Promise.all(CAPTURES.map(async (capture) => {
  for (let i = 0; i < 20; i++) {
    const [connection] = await connectWebSocket(
      `${server.url}/burst?n=500&size=1000`,
      { capture },
    );
    let count = 0;
    for await (const message of connection) count += message.length / 1000;
    if (count !== 500) throw new Error(`${capture}: ${count} of 500`);
  }
}));
console.log("ok");
