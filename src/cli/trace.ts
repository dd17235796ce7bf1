import type { HandshakeRequest } from "../../mod.ts";
import { requestHead, shownUrl } from "./head.ts";
import type { Notes } from "./notes.ts";

const NAMES = { preflight: "pre-flight", direct: "direct", socket: "socket" };

/** Shows what is asked of whom, and how long each answer took. */
export class Trace {
  readonly #notes: Notes;
  /** When each request was sent, in milliseconds of `performance.now()`. */
  #sent: { source: HandshakeRequest["source"]; at: number }[] = [];

  constructor(notes: Notes) {
    this.#notes = notes;
  }

  /** Shows a request that is about to be sent. */
  request(request: HandshakeRequest): void {
    const name = NAMES[request.source];
    this.#notes.say(`asking ${shownUrl(request.url)} (${name})`);
    this.#notes.write(requestHead(request));
    this.#sent.push({ source: request.source, at: performance.now() });
  }

  /** Shows the timings of the requests so far, the last of which has been answered. */
  answered(): void {
    const now = performance.now();
    const [first] = this.#sent;
    if (first === undefined) return;
    const parts = this.#sent.map(({ source, at }, index) => {
      const end = this.#sent[index + 1]?.at ?? now;
      return `${NAMES[source]} ${(end - at).toFixed(1)} ms`;
    });
    const total = (now - first.at).toFixed(1);
    this.#notes.say(`${parts.join(", ")}, ${total} ms in all`);
    this.#sent = [];
  }
}
