/**
 * Returns the standard reason phrase of a status, such as `"Not Found"`, or `""` if
 * there is none. The one that the server wrote is untrusted text, and `fetch` does
 * not reveal it.
 */
export async function reasonPhrase(status: number): Promise<string> {
  if (status === 101) return "Switching Protocols";
  // Loaded only here: it takes up to 75 ms, and a successful handshake does not need it.
  const { STATUS_CODES } = await import("node:http");
  return correctPhrase(status, STATUS_CODES[status] ?? "");
}

/** The phrases that Node and Deno's HTTP client have differently, or only one of them. */
const CORRECT = new Map([
  [203, "Non-Authoritative Information"],
  [418, "I'm a teapot"],
  [425, "Too Early"],
  [509, ""],
]);

/** Returns the standard reason phrase of a status for the one that Node or Deno's HTTP client has. */
export function correctPhrase(status: number, phrase: string): string {
  return CORRECT.get(status) ?? phrase;
}
