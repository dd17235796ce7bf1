import type { Job } from "./client.ts";
import type { Peer, Tool } from "./peers.ts";

/**
 * What to run: a job of `client.ts`, a peer that does the same, or a program
 * that is timed from its start until its first output or its end.
 */
export type Run =
  | Omit<Job, "url">
  | { peer: Peer; count: number; size: number }
  | { tool: Tool; until: "first" | "end"; count: number; size: number };

/** Two ways of doing a thing, and what their ratio should come to. */
export interface Row {
  section: string;
  what: string;
  against: string;
  ours: Run;
  theirs: Run;
  /** Which of the numbers that the job prints; the first by default. */
  index?: number;
  /** More of the first is better, less of the others. */
  unit: "messages/s" | "ms" | "ns" | "bytes";
  /** What the ratio must reach, or must not pass; neither where it is only reported. */
  atLeast?: number;
  atMost?: number;
}

type Capture = NonNullable<Job["capture"]>;
type Load = { count: number; size: number };

/** The ways to connect. */
const CAPTURES: { capture: Capture; connectAtMost: number }[] = [
  { capture: "none", connectAtMost: 1.3 },
  { capture: "direct", connectAtMost: 1.3 },
  { capture: "preflight", connectAtMost: 2.9 },
];

const SMALL: Load = { count: 1_000_000, size: 100 };
const MEDIUM: Load = { count: 500_000, size: 1024 };
const LARGE: Load = { count: 20_000, size: 64 * 1024 };
const PULL = "its own pull queue";

/** The calls that receive, and what the native socket does in their place. */
const CALLS = [
  { call: "recv()", how: "recv", load: SMALL, atLeast: 0.8 },
  {
    call: "recvBatch(), max: 1000",
    how: "batch",
    load: SMALL,
    atLeast: 0.92,
  },
  {
    call: "recvBatch(), whole windows",
    how: "windows",
    load: SMALL,
    baseline: "array",
    atLeast: 0.95,
  },
  { call: "for await", how: "iterate", load: SMALL, atLeast: 0.7 },
  { call: "recv(), 64 KiB", how: "recv", load: LARGE, atLeast: 0.97 },
];

const BASELINES: Record<string, string> = {
  count: "native WebSocket, counting",
  array: "native WebSocket, into an array",
};

function receive(how: string, load: Load, capture: Capture = "none"): Run {
  return { task: "receive", how, capture, ...load };
}

/** The sender is not what is measured: bytes that are read and dropped come faster. */
const sender: Row[] = [
  { what: "bytes read and dropped, 100 B", load: SMALL, times: 10 },
  { what: "bytes read and dropped, 64 KiB", load: LARGE, times: 4 },
].map(({ what, load, times }) => ({
  section: "The sender's ceiling",
  what,
  against: BASELINES.count!,
  ours: receive("tcp", { ...load, count: load.count * times }),
  theirs: receive("count", load),
  unit: "messages/s",
}));

const calls: Row[] = CALLS.map((it) => ({
  section: "Receiving, 100-byte messages unless said",
  what: it.call,
  against: BASELINES[it.baseline ?? "count"]!,
  ours: receive(it.how, it.load),
  theirs: receive(it.baseline ?? "count", it.load),
  unit: "messages/s",
  atLeast: it.atLeast,
}));

/** What `"direct"` comes to, against the same baselines. */
const direct: Row[] = [
  { what: "recv()", how: "recv", load: SMALL, atLeast: 1.6 },
  { what: "recvBatch(), max: 1000", how: "batch", load: SMALL, atLeast: 1.9 },
  { what: "for await", how: "iterate", load: SMALL, atLeast: 1.3 },
  { what: "recv(), 1 KiB", how: "recv", load: MEDIUM, atLeast: 1.1 },
  { what: "recv(), 64 KiB", how: "recv", load: LARGE, atLeast: 1.2 },
].map(({ what, how, load, atLeast }) => ({
  section: 'Receiving with capture: "direct", 100-byte messages unless said',
  what,
  against: BASELINES.count!,
  ours: receive(how, load, "direct"),
  theirs: receive("count", load),
  unit: "messages/s",
  atLeast,
}));

const peers: Row[] = [
  {
    against: `npm ws in Deno, ${PULL}`,
    peer: "ws in Deno" as const,
    part: 5,
    floors: [1.4, 1],
  },
  {
    against: `npm ws in Node, ${PULL}`,
    peer: "ws in Node" as const,
    part: 1,
    floors: [1.4, 1],
  },
  {
    against: "Python websockets, recv()",
    peer: "Python websockets" as const,
    part: 10,
    floors: [8, 1],
  },
  {
    against: "Deno WebSocketStream, read()",
    peer: null,
    part: 1,
    floors: [1.5, 1],
  },
].flatMap(({ against, peer, part, floors }) =>
  [SMALL, LARGE].map((load, index) => {
    const { size } = load;
    const count = load.count / part;
    return {
      section: 'Receiving strings with capture: "direct", against others',
      what: index === 0 ? "recv()" : "recv(), 64 KiB",
      against,
      ours: receive("recv", { count, size }, "direct"),
      theirs: peer === null
        ? receive("stream", { count, size })
        : { peer, count, size },
      unit: "messages/s",
      atLeast: floors[index],
    };
  })
);

const CONNECTS = { task: "connect", count: 250, size: 5 } as const;

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
  // What a pre-flight cannot do without, with nothing checked or captured.
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
      ours: { task: "echo", how: "wstap", capture, count: 5000, size: 100 },
      theirs: { task: "echo", how: "native", count: 5000, size: 100 },
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

const print = { until: "end", ...SMALL } as const;
const start = { until: "first", count: 1, size: 100 } as const;

/** Whole processes, their start included. */
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
    what: "wstap",
    against: tool === "Node" ? "Node, npm ws in one line" : tool,
    ours: { tool: "wstap", ...print },
    theirs: { tool, ...print },
    unit: "messages/s",
    atLeast: tool === "Node" ? 1 : undefined,
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

/** Every comparison, in the order of the table. */
export const ROWS: Row[] = [
  ...sender,
  ...calls,
  ...direct,
  ...peers,
  ...connect,
  ...echo,
  ...waiting,
  ...commands,
];
