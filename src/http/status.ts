/**
 * Returns the standard reason phrase of a status, such as `"Not Found"`, or `""` if
 * there is none. The one that the server wrote is untrusted text, and `fetch` does
 * not reveal it.
 */
export async function reasonPhrase(status: number): Promise<string> {
  if (status === 101) return "Switching Protocols";
  // Loaded only here: it takes up to 75 ms, and a successful handshake does not need it.
  return (await import("node:http")).STATUS_CODES[status] ?? "";
}
