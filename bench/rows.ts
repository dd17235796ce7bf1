import type { Job } from "./client.ts";
import type { Peer, Tool } from "./peers.ts";

/**
 * One side of a comparison: a job of `client.ts`, a peer that measures itself, or
 * a program that is timed from its start to its first output or its end.
 */
export type Run =
  | Omit<Job, "url">
  | { peer: Peer; count: number; size: number; mode?: "deflate" | "idle" }
  | { tool: Tool; until: "first" | "end"; count: number; size: number };

/** A comparison of two measurements, and the limit of their ratio. */
export interface Row {
  section: string;
  what: string;
  against: string;
  ours: Run;
  theirs: Run;
  /** The index of the number to compare, among those that the job prints. Defaults to 0. */
  index?: number;
  /** The unit of the numbers. Higher is better for `messages/s`, lower for the others. */
  unit: "messages/s" | "ms" | "ns" | "bytes";
  /** The lowest ratio that is good enough. */
  atLeast?: number;
  /** The highest ratio that is good enough. */
  atMost?: number;
}

type Capture = NonNullable<Job["capture"]>;
type Load = { count: number; size: number };

/** The values of the option `capture`. */
const CAPTURES: { capture: Capture; connectAtMost: number }[] = [
  { capture: "none", connectAtMost: 1.3 },
  { capture: "direct", connectAtMost: 1.3 },
  { capture: "preflight", connectAtMost: 2.9 },
];

const SMALL: Load = { count: 1_000_000, size: 100 };
const MEDIUM: Load = { count: 500_000, size: 1024 };
const LARGE: Load = { count: 20_000, size: 64 * 1024 };
/** The count and a fifth of it, for warming up, are multiples of the 100 messages that the sender compresses together. */
const DEFLATED: Load = { count: 200_000, size: 200 };
const PULL = "its own pull queue";

/** The calls that receive messages, each with what Deno's WebSocket is measured doing, and the lowest good ratios. */
const CALLS: {
  what: string;
  how: string;
  load: Load;
  width?: number;
  baseline?: "count" | "array";
  /** The lowest good ratio over Deno's WebSocket (`native`) and over wstap's own (`direct`). */
  native?: number;
  direct?: number;
}[] = [
  { what: "recv()", how: "recv", load: SMALL, native: 0.8, direct: 1.6 },
  {
    what: "recvBatch(), max: 1000",
    how: "batch",
    load: SMALL,
    native: 0.92,
    direct: 1.9,
  },
  {
    what: "recvBatch(), whole windows",
    how: "windows",
    load: SMALL,
    baseline: "array",
    native: 0.92,
  },
  { what: "for await", how: "iterate", load: SMALL, native: 0.66, direct: 1.3 },
  { what: "recv(), 1 KiB", how: "recv", load: MEDIUM, direct: 1.1 },
  {
    what: "recv(), 1 KiB, two bytes a character",
    how: "recv",
    load: MEDIUM,
    width: 2,
    direct: 0.9,
  },
  {
    what: "recv(), 1 KiB, three bytes a character",
    how: "recv",
    load: MEDIUM,
    width: 3,
    direct: 0.9,
  },
  {
    what: "recv(), 64 KiB",
    how: "recv",
    load: LARGE,
    native: 0.97,
    direct: 1.2,
  },
];

const BASELINES = {
  count: "native WebSocket, counting",
  array: "native WebSocket, into an array",
};

function receive(
  how: string,
  load: Load,
  capture: Capture = "none",
  more: { width?: number; deflate?: boolean } = {},
): Run {
  return { task: "receive", how, capture, ...load, ...more };
}

/** Shows that the sender is fast enough not to limit the other measurements. */
const sender: Row[] = [
  { what: "bytes read and dropped, 100 B", load: SMALL, times: 10 },
  { what: "bytes read and dropped, 64 KiB", load: LARGE, times: 4 },
].map(({ what, load, times }) => ({
  section: "The sender's ceiling",
  what,
  against: BASELINES.count,
  ours: receive("tcp", { ...load, count: load.count * times }),
  theirs: receive("count", load),
  unit: "messages/s",
}));

const calls: Row[] = (["native", "direct"] as const).flatMap((kind) =>
  CALLS.filter((it) => it[kind] !== undefined).map((it): Row => {
    const { load, width, baseline = "count" } = it;
    return {
      section: kind === "native"
        ? "Receiving over Deno's WebSocket, 100-byte messages unless said"
        : 'Receiving with capture: "direct", 100-byte messages unless said',
      what: it.what,
      against: BASELINES[baseline],
      ours: receive(it.how, load, kind === "native" ? "none" : "direct", {
        width,
      }),
      theirs: receive(baseline, load, undefined, { width }),
      unit: "messages/s",
      atLeast: it[kind],
    };
  })
);

/** Other clients. The last two are compiled programs, in Go and Rust. */
const PEERS: {
  against: string;
  peer: Peer | null;
  /** The number of messages is divided by this, for slow peers. */
  part: number;
  atLeast?: number;
}[] = [
  { against: `npm ws in Deno, ${PULL}`, peer: "ws in Deno", part: 5 },
  {
    against: `npm ws in Node, ${PULL}`,
    peer: "ws in Node",
    part: 1,
    atLeast: 1.4,
  },
  {
    against: "Deno WebSocketStream, read()",
    peer: null,
    part: 1,
    atLeast: 1.5,
  },
  {
    against: "Python websockets, recv()",
    peer: "Python websockets",
    part: 10,
    atLeast: 8,
  },
  { against: "Go coder/websocket, Read()", peer: "coder/websocket", part: 1 },
  {
    against: "Rust tokio-tungstenite, recv()",
    peer: "tokio-tungstenite",
    part: 1,
  },
];

const peers: Row[] = [
  ...PEERS.flatMap(({ against, peer, part, atLeast }) =>
    [SMALL, LARGE].map((load): Row => {
      const { size } = load;
      const count = load.count / part;
      return {
        section: 'Receiving strings with capture: "direct", against others',
        what: load === SMALL ? "recv()" : "recv(), 64 KiB",
        against,
        ours: receive("recv", { count, size }, "direct"),
        theirs: peer === null
          ? receive("stream", { count, size })
          : { peer, count, size },
        unit: "messages/s",
        atLeast: load === SMALL ? atLeast : undefined,
      };
    })
  ),
  {
    section: 'Receiving strings with capture: "direct", against others',
    what: "recv(), 200 bytes of JSON, permessage-deflate",
    against: `npm ws in Node, ${PULL}`,
    ours: receive("recv", DEFLATED, "direct", { deflate: true }),
    theirs: { peer: "ws in Node", mode: "deflate", ...DEFLATED },
    unit: "messages/s",
    atLeast: 1,
  },
];

const CONNECTS = { task: "connect", count: 1000, size: 5 } as const;

function connecting(what: string, ours: Run, atMost?: number): Row {
  return {
    section: "From the call to the first message",
    what,
    against: "native WebSocket",
    ours,
    theirs: { ...CONNECTS, how: "native" },
    unit: "ms",
    atMost,
  };
}

const connect: Row[] = [
  ...CAPTURES.map(({ capture, connectAtMost }) =>
    connecting(
      `connectWebSocket(), capture: "${capture}"`,
      { ...CONNECTS, how: "wstap", capture },
      connectAtMost,
    )
  ),
  // The least that a pre-flight needs: nothing is checked or captured.
  connecting("a bare fetch() before it, as for a pre-flight", {
    ...CONNECTS,
    how: "fetch",
  }),
];

const echo: Row[] = CAPTURES.filter(({ capture }) => capture !== "preflight")
  .flatMap(({ capture }) =>
    ["median", "99th percentile"].map((what, index) => ({
      section: "Echo through send() and recv()",
      what: `${what}, capture: "${capture}"`,
      against: "native WebSocket",
      ours: { task: "echo", how: "wstap", capture, count: 20_000, size: 100 },
      theirs: { task: "echo", how: "native", count: 20_000, size: 100 },
      index,
      unit: "ms",
      atMost: capture === "none" ? 1.15 : index === 0 ? 1.0 : 1.1,
    }))
  );

const waiting: Row[] = [
  ...[1000, 1_000_000].map((size): Row => ({
    section: "Messages that wait",
    what: `queue with ${size.toLocaleString("en")} waiting`,
    against: "queue with 10 waiting",
    ours: { task: "queue", how: "", count: 2_000_000, size },
    theirs: { task: "queue", how: "", count: 2_000_000, size: 10 },
    unit: "ns",
    atMost: 1.2,
  })),
  ...(["none", "direct"] as const).map((capture): Row => ({
    section: "Messages that wait",
    what: `heap of a waiting message, capture: "${capture}"`,
    against: "the string itself",
    ours: {
      task: "heap",
      how: "wstap",
      capture,
      count: 2e5,
      size: 100,
    },
    theirs: { task: "heap", how: "strings", count: 2e5, size: 100 },
    unit: "bytes",
    atMost: 1.5,
  })),
];

const IDLE = { task: "idle", count: 1000, size: 0 } as const;

const memory: Row[] = [
  {
    section: "Memory",
    what: 'a message that is kept, one in a thousand, capture: "direct"',
    against: "the string itself and 4 KiB",
    ours: { task: "kept", how: "", capture: "direct", ...SMALL },
    theirs: { task: "heap", how: "strings and 4 KiB", count: 2e5, size: 100 },
    unit: "bytes",
    atMost: 1,
  },
  {
    section: "Memory",
    what: 'one of 1,000 idle connections, capture: "direct"',
    against: "native WebSocket",
    ours: { ...IDLE, how: "wstap", capture: "direct" },
    theirs: { ...IDLE, how: "native" },
    unit: "bytes",
    atMost: 1.3,
  },
  {
    section: "Memory",
    what: 'one of 1,000 idle connections, capture: "direct"',
    against: "npm ws in Node",
    ours: { ...IDLE, how: "wstap", capture: "direct" },
    theirs: { peer: "ws in Node", mode: "idle", count: 1000, size: 0 },
    unit: "bytes",
    atMost: 1,
  },
];

const print = { until: "end", ...SMALL } as const;
const start = { until: "first", count: 1, size: 100 } as const;

/** Comparisons of whole processes, including their start. */
const commands: Row[] = [
  {
    section: "Command line, 100-byte messages to a file",
    what: "wstap",
    against: "the module, recv() until the end",
    ours: { tool: "wstap", ...print },
    theirs: { task: "feed", how: "", capture: "none", ...SMALL },
    unit: "messages/s",
    atLeast: 0.7,
  },
  ...(["Node", "websocat"] as const).map((tool): Row => ({
    section: "Command line, 100-byte messages to a file",
    what: "wstap --capture direct",
    against: tool === "Node" ? "Node, npm ws in one line" : tool,
    ours: { tool: "wstap, direct", ...print },
    theirs: { tool, ...print },
    unit: "messages/s",
    atLeast: tool === "Node" ? 1 : 1.5,
  })),
  ...(["Node", "wscat", "websocat"] as const).map((tool): Row => ({
    section: "Command line, from the start to the first message",
    what: "wstap",
    against: tool === "Node" ? "Node, npm ws in one line" : tool,
    ours: { tool: "wstap", ...start },
    theirs: { tool, ...start },
    unit: "ms",
  })),
];

/** All comparisons, in the order of the table. */
export const ROWS: Row[] = [
  ...sender,
  ...calls,
  ...peers,
  ...connect,
  ...echo,
  ...waiting,
  ...memory,
  ...commands,
];
