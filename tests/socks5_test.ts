import { assertEquals, assertThrows } from "@std/assert";
import { Refusal } from "../src/proxy/refusal.ts";
import { socks5 } from "../src/proxy/socks5.ts";

type Auth = Parameters<typeof socks5>[0]["auth"];

const SERVER = { hostname: "feed.example", port: 8443 };

/** Answers each step with these bytes. Returns what was sent, and how much was asked for. */
function talk(
  auth: Auth,
  server: Parameters<typeof socks5>[1],
  ...answers: number[][]
): { sent: number[][]; read: number[]; done: boolean } {
  const steps = socks5({ auth }, server);
  const sent: number[][] = [];
  const read: number[] = [];
  let step = steps.next();
  for (const answer of answers) {
    if (step.done) throw new Error("it asked for less");
    sent.push([...step.value.send]);
    read.push(step.value.read);
    assertEquals(answer.length, step.value.read);
    step = steps.next(Uint8Array.from(answer));
  }
  return { sent, read, done: step.done === true };
}

const name = [...new TextEncoder().encode("feed.example")];

Deno.test("socks5() asks for a name, without authentication", () => {
  const { sent, done } = talk(
    null,
    SERVER,
    ...[[5, 0], [5, 0, 0, 1], [0, 0, 0, 0, 0, 0]],
  );
  assertEquals(sent, [
    [5, 1, 0],
    [5, 1, 0, 3, name.length, ...name, 0x20, 0xfb],
    [],
  ]);
  assertEquals(done, true);
});

Deno.test("socks5() sends a username and password if the proxy wants them", () => {
  const auth = { username: "ü", password: "pw" };
  const { sent, done } = talk(
    auth,
    SERVER,
    ...[[5, 2], [1, 0], [5, 0, 0, 1], [0, 0, 0, 0, 0, 0]],
  );
  assertEquals(sent.slice(0, 2), [
    [5, 2, 0, 2],
    [1, 2, 0xc3, 0xbc, 2, 0x70, 0x77],
  ]);
  assertEquals(done, true);
});

Deno.test("socks5() asks for addresses as such, and reads a bound address of any kind to its end", () => {
  const ask = (hostname: string, ...answers: number[][]) =>
    talk(null, { hostname, port: 1 }, [5, 0], ...answers);
  const v4 = ask("10.1.2.3", [5, 0, 0, 4], Array(18).fill(0));
  assertEquals(v4.sent[1], [5, 1, 0, 1, 10, 1, 2, 3, 0, 1]);
  assertEquals(v4.done, true);
  const v6 = ask("::1", [5, 0, 0, 3], [3], Array(5).fill(0));
  assertEquals(v6.sent[1], [5, 1, 0, 4, ...Array(15).fill(0), 1, 0, 1]);
  assertEquals(v6.read, [2, 4, 1, 5]);
  assertEquals(v6.done, true);
});

Deno.test("socks5() refuses a name or a password that is too long", () => {
  const long = "x".repeat(256);
  const refuses = (auth: Auth, hostname: string) => {
    const error = assertThrows(
      () => talk(auth, { hostname, port: 1 }, [5, auth ? 2 : 0], [1, 0]),
      Refusal,
    );
    assertEquals(error.transient, false);
  };
  refuses({ username: "a", password: long }, "a");
  refuses({ username: long, password: "a" }, "a");
  refuses(null, long);
  talk({ username: long.slice(1), password: "" }, SERVER, [5, 2], [1, 0]);
});
