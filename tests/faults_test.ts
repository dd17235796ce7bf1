import { driveFaults } from "./fixtures/faults.ts";

Deno.test("every message is accounted for in 168 connections through a network that delays, throttles, stalls, resets, half-closes and corrupts", async () => {
  await driveFaults(168, 42);
});
