/** How many events a second the feed sends. */
const RATE = 4;

/** The embedded feed, on loopback. */
export interface Demo extends AsyncDisposable {
  /** `ws://127.0.0.1:port` */
  readonly url: string;
}

/**
 * Starts the feed: `/events` sends JSON events at a steady rate, `/echo` sends
 * back what it gets, and `/refuse/404` refuses with that status.
 */
export function startDemo(port: number): Demo {
  const sockets = new Set<WebSocket>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port, onListen() {} },
    (request) => answer(request, sockets),
  );
  return {
    url: `ws://127.0.0.1:${server.addr.port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.close(1001, "the demo ends");
      await server.shutdown();
    },
  };
}

function answer(request: Request, sockets: Set<WebSocket>): Response {
  const { pathname } = new URL(request.url);
  const refused = /^\/refuse\/(\d{3})$/.exec(pathname);
  if (refused !== null) return refuse(Number(refused[1]));
  if (pathname === "/events") return upgrade(request, sockets, sendEvents);
  if (pathname === "/echo") return upgrade(request, sockets, echo);
  return new Response(
    "This feed has /events, /echo and /refuse/404 (or any other status).\n",
    { status: 404 },
  );
}

function upgrade(
  request: Request,
  sockets: Set<WebSocket>,
  serve: (socket: WebSocket) => void,
): Response {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return new Response("This is a WebSocket endpoint.\n", {
      status: 426,
      headers: { Upgrade: "websocket" },
    });
  }
  const { socket, response } = Deno.upgradeWebSocket(request);
  try {
    response.headers.set("X-Demo-Session", crypto.randomUUID());
  } catch {
    // Before Deno 2.5.5 these headers cannot be changed.
  }
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => {
    sockets.add(socket);
    serve(socket);
  });
  // A client that just goes is no error here; close follows.
  socket.addEventListener("error", (event) => event.preventDefault());
  socket.addEventListener("close", () => sockets.delete(socket));
  return response;
}

function sendEvents(socket: WebSocket): void {
  let id = 0;
  const send = () => {
    if (socket.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify(event(++id)));
    }
  };
  send();
  const timer = setInterval(send, 1000 / RATE);
  socket.addEventListener("close", () => clearInterval(timer));
}

const TYPES = ["Reception", "Delivery", "Delivery", "TransientFailure"];
const DOMAINS = ["example.com", "example.net", "example.org"];

/** An event like those of a mail server's feed. */
function event(id: number) {
  return {
    id,
    type: TYPES[id % TYPES.length],
    domain: DOMAINS[id % DOMAINS.length],
    timestamp: new Date().toISOString(),
  };
}

function echo(socket: WebSocket): void {
  socket.addEventListener("message", ({ data }) => socket.send(data));
}

/** Headers that belong to a status. */
const REFUSAL_HEADERS: Record<number, Record<string, string>> = {
  401: { "WWW-Authenticate": 'Basic realm="wstap demo"' },
  426: { Upgrade: "websocket" },
  429: { "Retry-After": "2" },
  503: { "Retry-After": "2" },
};

function refuse(status: number): Response {
  if (status < 200 || status > 599) {
    return new Response("A refusal has a status from 200 to 599.\n", {
      status: 400,
    });
  }
  const body = [204, 205, 304].includes(status)
    ? null
    : `Refused with ${status}, as asked.\n`;
  const redirects = [301, 302, 303, 307, 308].includes(status);
  return new Response(body, {
    status,
    headers: redirects ? { Location: "/events" } : REFUSAL_HEADERS[status],
  });
}
