import { driveFaults } from "../fixtures/faults.ts";
import { form } from "./_form.ts";

const connections = form(1000, 5000);

Deno.test(`every message is accounted for in ${connections} connections through a network that misbehaves`, async () => {
  await driveFaults(connections, 84);
});
