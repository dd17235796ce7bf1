import type { Job } from "./client.ts";
import type { Peer, Tool } from "./peers.ts";

/**
 * One side of a comparison: a job of `client.ts`, a peer that measures itself, or
 * a program that is timed from its start to its first output or its end.
 */
export type Run =
  | Omit<Job, "url">
  | {
    peer: Peer;
    count: number;
    size: number;
    mode?: "deflate" | "idle" | "many";
  }
  | { tool: Tool; until: "first" | "end"; count: number; size: number };

/** A comparison of two measurements, and the limit of their ratio. */
export interface Row {
  section: string;
  what: string;
  against: string;
  /** The label in the chart of the README. Rows without one are not in it. */
  label?: string | undefined;
  /** What stands below the label, if not `against`. */
  againstLabel?: string | undefined;
  ours: Run;
  theirs: Run;
  /** The index of the number to compare, among those that the job prints. Defaults to 0. */
  index?: number;
  /** The unit of the numbers. Higher is better for `messages/s`, lower for the others. */
  unit: "messages/s" | "ms" | "ms per s" | "ns" | "bytes";
  /** The lowest ratio that is good enough. */
  atLeast?: number | undefined;
  /** The highest ratio that is good enough. */
  atMost?: number | undefined;
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
const DEFLATED_LONG: Load = { count: 10_000, size: 16 * 1024 };
const PULL = "its own pull queue";
/** What a client in TypeScript cannot be faster than. */
const FLOOR = "the floor: reading, and walking from header to header";

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

/** How many times as many messages are received with "direct": a million pass in a tenth of a second, in which V8 is still compiling. */
const DIRECT_TIMES = 4;

function receive(
  how: string,
  { count, size }: Load,
  capture: Capture = "none",
  more: Partial<Pick<Job, "width" | "deflate" | "binary" | "decode">> = {},
): Run {
  if (capture === "direct") count *= DIRECT_TIMES;
  return { task: "receive", how, capture, count, size, ...more };
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
    const { load, width = 1, baseline = "count" } = it;
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

const binary: Row[] = [
  { what: "100 bytes", load: SMALL, atLeast: 3 },
  { what: "1 KiB", load: MEDIUM, atLeast: 2 },
  { what: "64 KiB", load: LARGE, atLeast: 1.1 },
].map(({ what, load, atLeast }) => ({
  section: 'Receiving binary messages with capture: "direct"',
  what: `recv(), ${what}`,
  against: BASELINES.count,
  ours: receive("recv", load, "direct", { binary: true }),
  theirs: receive("count", load, "none", { binary: true }),
  unit: "messages/s",
  atLeast,
}));

/** How much of what is possible is reached. */
const floor: Row[] = [
  { what: "recv(), 100 bytes", how: "recv", load: SMALL, atLeast: 0.4 },
  {
    what: "recvBatch(), max: 1000, 100 bytes",
    how: "batch",
    load: SMALL,
    atLeast: 0.6,
  },
  { what: "recv(), 1 KiB", how: "recv", load: MEDIUM, atLeast: 0.75 },
  {
    what: "recvBatch(), max: 1000, 1 KiB",
    how: "batch",
    load: MEDIUM,
    atLeast: 0.7,
  },
  {
    what: "recv(), 64 KiB, decode: false",
    how: "recv",
    load: LARGE,
    decode: false,
    atLeast: 0.85,
  },
].map(({ what, how, load, decode = true, atLeast }) => ({
  section: 'Receiving with capture: "direct", against what is possible',
  what,
  against: FLOOR,
  ours: receive(how, load, "direct", { decode }),
  theirs: receive("floor", load, "direct"),
  unit: "messages/s" as const,
  atLeast,
})).concat([{
  section: 'Receiving with capture: "direct", against what is possible',
  what: "recvBatch(), max: 1000, 64 KiB",
  against: "recv() of the same",
  ours: receive("batch", LARGE, "direct"),
  theirs: receive("recv", LARGE, "direct"),
  unit: "messages/s",
  atLeast: 0.9,
}]);

/** Other clients. The last two are compiled programs, in Go and Rust. */
const PEERS: {
  against: string;
  peer: Peer | null;
  /** The number of messages is divided by this: more than 1 for slow peers, less for fast ones. */
  part: number;
  /** The lowest good ratio with 100-byte messages, and with messages of 64 KiB. */
  atLeast?: number;
  atLeastLarge?: number;
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
    part: 1 / DIRECT_TIMES,
    atLeast: 1.2,
    atLeastLarge: 0.8,
  },
];

const peers: Row[] = [
  ...PEERS.flatMap(({ against, peer, part, atLeast, atLeastLarge }) =>
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
        atLeast: load === SMALL ? atLeast : atLeastLarge,
      };
    })
  ),
  ...[
    { what: "200 bytes", load: DEFLATED, atLeast: 12 },
    { what: "16 KiB", load: DEFLATED_LONG, atLeast: 1.5 },
  ].map(({ what, load, atLeast }): Row => ({
    section: 'Receiving strings with capture: "direct", against others',
    what: `recv(), ${what} of JSON, permessage-deflate`,
    against: `npm ws in Node, ${PULL}`,
    ours: receive("recv", load, "direct", { deflate: true }),
    theirs: { peer: "ws in Node", mode: "deflate", ...load },
    unit: "messages/s",
    atLeast,
  })),
  {
    section: "Processor time of 100 connections, 1,000 messages a second each",
    what: 'recv(), capture: "direct"',
    against: `npm ws in Node, ${PULL}`,
    ours: { task: "many", how: "", capture: "direct", count: 100, size: 100 },
    theirs: { peer: "ws in Node", mode: "many", count: 100, size: 100 },
    unit: "ms per s",
    atMost: 1,
  },
];

const CONNECTS = { task: "connect", count: 1000, size: 5 } as const;
const TLS_CONNECTS = {
  task: "connect",
  count: 300,
  size: 5,
  tls: true,
} as const;

function connecting(
  what: string,
  ours: Omit<Job, "url">,
  atMost?: number,
): Row {
  return {
    section: ours.tls
      ? "From the call to the first message, over TLS"
      : "From the call to the first message",
    what,
    against: "native WebSocket",
    ours,
    theirs: { ...(ours.tls ? TLS_CONNECTS : CONNECTS), how: "native" },
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
  ...CAPTURES.map(({ capture }) =>
    connecting(
      `connectWebSocket(), capture: "${capture}"`,
      { ...TLS_CONNECTS, how: "wstap", capture },
      capture === "preflight" ? 3 : 1.3,
    )
  ),
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
  {
    section: "Command line, 100-byte messages to a file",
    what: "wstap --capture direct",
    against: "Node, npm ws in one line",
    ours: { tool: "wstap, direct", ...print },
    theirs: { tool: "Node", ...print },
    unit: "messages/s",
    atLeast: 1,
  },
  ...[
    { what: "100 bytes", load: SMALL, atLeast: 2.5 },
    { what: "1 KiB", load: MEDIUM, atLeast: 1.5 },
    { what: "64 KiB", load: LARGE, atLeast: 1 },
  ].map(({ what, load, atLeast }): Row => ({
    section: "Command line, to a file",
    what: `wstap --capture direct, ${what}`,
    against: "websocat -U",
    ours: { tool: "wstap, direct", until: "end", ...load },
    theirs: { tool: "websocat", until: "end", ...load },
    unit: "messages/s",
    atLeast,
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

/** The rows of the chart, in its order, each with its label. */
const CHARTED: {
  label: string;
  section: RegExp;
  what: RegExp;
  against: RegExp;
  againstLabel: string;
}[] = [
  {
    label: "Text of 100 bytes, direct",
    section: /^Receiving with capture: "direct", 100/,
    what: /^recv\(\)$/,
    against: /counting/,
    againstLabel: "Deno's WebSocket, counting events",
  },
  {
    label: "Text of 64 KiB, direct",
    section: /^Receiving with capture: "direct", 100/,
    what: /^recv\(\), 64 KiB$/,
    against: /counting/,
    againstLabel: "Deno's WebSocket, counting events",
  },
  {
    label: "Binary of 1 KiB, direct",
    section: /^Receiving binary/,
    what: /1 KiB/,
    against: /counting/,
    againstLabel: "Deno's WebSocket, counting events",
  },
  {
    label: "Text of 100 bytes, the default capture",
    section: /over Deno's WebSocket/,
    what: /^recv\(\)$/,
    against: /counting/,
    againstLabel: "Deno's WebSocket, counting events",
  },
  {
    label: "Text of 100 bytes, direct",
    section: /against others/,
    what: /^recv\(\)$/,
    against: /ws in Node/,
    againstLabel: "npm ws in Node with a queue",
  },
  {
    label: "JSON of 16 KiB, compressed",
    section: /against others/,
    what: /16 KiB/,
    against: /ws in Node/,
    againstLabel: "npm ws in Node with a queue",
  },
  {
    label: "Text of 100 bytes, direct",
    section: /against others/,
    what: /^recv\(\)$/,
    against: /tokio/,
    againstLabel: "Rust tokio-tungstenite",
  },
  {
    label: "Command line, 100 bytes to a file",
    section: /^Command line, to a file/,
    what: /100 bytes/,
    against: /websocat/,
    againstLabel: "websocat",
  },
  {
    label: "Command line, 64 KiB to a file",
    section: /^Command line, to a file/,
    what: /64 KiB/,
    against: /websocat/,
    againstLabel: "websocat",
  },
  {
    label: "Connecting, the default capture",
    section: /^From the call to the first message$/,
    what: /preflight/,
    against: /native/,
    againstLabel: "Deno's WebSocket",
  },
];

function charted(row: Row): Row {
  const found = CHARTED.find(({ section, what, against }) =>
    section.test(row.section) && what.test(row.what) &&
    against.test(row.against)
  );
  return found === undefined
    ? row
    : { ...row, label: found.label, againstLabel: found.againstLabel };
}

/** All comparisons, in the order of the table. */
export const ROWS: Row[] = [
  ...sender,
  ...calls,
  ...binary,
  ...floor,
  ...peers,
  ...connect,
  ...echo,
  ...waiting,
  ...memory,
  ...commands,
].map(charted);
