import {
  type Acceptance,
  type Client,
  type Refusal,
  Server,
  type ServerRequest,
  sleep,
} from "../../internal.ts";
import { systemError } from "../errors.ts";

/** How many events a second the feed sends. */
const RATE = 4;

/**
 * Starts the feed: `/events` sends JSON events at a steady rate, `/echo` sends
 * back what it gets, and `/refuse/404` refuses with that status.
 */
export function startDemo(port: number): Server {
  try {
    return new Server(port, answer);
  } catch (error) {
    throw systemError(error);
  }
}

function answer({ path }: ServerRequest): Refusal | Acceptance {
  const refused = /^\/refuse\/(\d{3})$/.exec(path);
  if (refused !== null) return refuse(Number(refused[1]));
  const headers: [string, string][] = [["X-Demo-Session", crypto.randomUUID()]];
  if (path === "/events") return { headers, serve: sendEvents };
  if (path === "/echo") {
    return {
      headers,
      serve: async () => {},
      receive: (client, message) => client.send([message]),
    };
  }
  return {
    status: 404,
    body:
      "This feed has /events, /echo and /refuse/404 (or any other status).\n",
  };
}

async function sendEvents(client: Client): Promise<void> {
  for (let id = 1;; id++) {
    await client.send([JSON.stringify(event(id))]);
    await sleep(1000 / RATE, client.gone);
  }
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

/** Headers that belong to a status. */
const REFUSAL_HEADERS: Record<number, [name: string, value: string][]> = {
  401: [["WWW-Authenticate", 'Basic realm="wstap demo"']],
  426: [["Upgrade", "websocket"]],
  429: [["Retry-After", "2"]],
  503: [["Retry-After", "2"]],
};

function refuse(status: number): Refusal {
  if (status < 200 || status > 599) {
    return { status: 400, body: "A refusal has a status from 200 to 599.\n" };
  }
  const redirects = [301, 302, 303, 307, 308].includes(status);
  return {
    status,
    body: `Refused with ${status}, as asked.\n`,
    headers: redirects
      ? [["Location", "/events"]]
      : REFUSAL_HEADERS[status] ?? [],
  };
}
