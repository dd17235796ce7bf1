// npm `ws` behind the shortest pull queue that is correct, in Node and in Deno.
// Takes the sender's address, a number of messages and their size, and prints
// the rate. With "deflate" behind them the messages come compressed. With "idle" it
// opens so many connections and prints the bytes of memory for each. With "many" each
// of so many connections receives 1,000 messages a second for ten seconds, and it
// prints the milliseconds of processor time per second in the last five.
// WS is the URL of the package's `wrapper.mjs` in Node.
import process from "node:process";
const { default: WebSocket } = await import(process.env.WS ?? "npm:ws@8.23.0");

const [url, count, size, mode] = process.argv.slice(2);

if (mode === "idle") {
  const sockets = [];
  const open = async (count) => {
    for (let n = 0; n < count; n++) {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      sockets.push(socket);
      await new Promise((resolve) => socket.on("open", resolve));
    }
    globalThis.gc?.();
    return process.memoryUsage().rss;
  };
  const before = await open(100); // to warm up
  const after = await open(Number(count));
  console.log(`[${(after - before) / count}]`);
  process.exit();
}

if (mode === "many") {
  const rate = 1000;
  const half = 5 * rate;
  let used;
  const one = () =>
    new Promise((resolve) => {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      const queue = [];
      const waiting = [];
      socket.on("message", (data) => {
        const text = data.toString();
        if (waiting.length > 0) waiting.shift()(text);
        else queue.push(text);
      });
      const recv = () =>
        queue.length > 0
          ? Promise.resolve(queue.shift())
          : new Promise((resolve) => waiting.push(resolve));
      socket.on("open", async () => {
        socket.send(
          JSON.stringify({ count: 2 * half, size: Number(size), rate }),
        );
        for (let n = 0; n < half; n++) await recv();
        used = process.cpuUsage();
        for (let n = 0; n < half; n++) await recv();
        resolve();
      });
    });
  await Promise.all(Array.from({ length: Number(count) }, one));
  const { user, system } = process.cpuUsage(used);
  console.log(`[${(user + system) / 1000 / 5}]`);
  process.exit();
}

const queue = [];
const waiting = [];
const socket = new WebSocket(mode === "deflate" ? `${url}/deflate` : url, {
  perMessageDeflate: mode === "deflate",
});
socket.on("message", (data) => {
  const text = data.toString();
  if (waiting.length > 0) waiting.shift()(text);
  else queue.push(text);
});
const recv = () =>
  queue.length > 0
    ? Promise.resolve(queue.shift())
    : new Promise((resolve) => waiting.push(resolve));

async function run(count) {
  socket.send(JSON.stringify({ count, size: Number(size) }));
  for (let n = 0; n < count; n++) await recv();
}

socket.on("open", async () => {
  await run(Math.ceil(count / 5)); // to warm up
  const start = performance.now();
  await run(Number(count));
  console.log(`[${count / (performance.now() - start) * 1000}]`);
  process.exit();
});
