/**
 * What the command line uses of the modules beyond their public interface. It goes
 * through `mod.ts`, `replay.ts` and this file, so that everything else may change.
 *
 * @module
 */

export { type Arrival, ARRIVALS } from "./arrivals.ts";
export { escapeCharacter, UNPRINTABLE } from "./escape.ts";
export { basicAuth } from "./http/encoding.ts";
export { checkHeaders } from "./http/target.ts";
export { concat, lines } from "./replay/lines.ts";
export {
  closeLine,
  messageLine,
  openLine,
  stopLine,
} from "./replay/recording.ts";
export { originRule } from "./replay/origin.ts";
export { describeFinish } from "./replay/run.ts";
export { type ReplayServer, startReplay } from "./replay/serve.ts";
export {
  type Acceptance,
  type Client,
  type Refusal,
  Server,
  type ServerRequest,
} from "./replay/server.ts";
export { isSystemError } from "./replay/system_error.ts";
export { after, sleep } from "./timers.ts";
export { isCloseCode } from "./websocket/close_codes.ts";
