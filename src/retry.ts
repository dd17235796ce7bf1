/**
 * When to connect again, and after which delay.
 *
 * @module
 */

import { checkCallback, checkCount, kindOf, oneOf } from "./checks.ts";
import { type DurationLike, parseDuration } from "./duration.ts";
import { ConnectionClosedError, HandshakeError } from "./errors.ts";

/** The options of {@linkcode parsePolicy}, which `ReconnectOptions` describes. */
export interface PolicyOptions {
  minDelay?: DurationLike;
  maxDelay?: DurationLike;
  multiplier?: number;
  jitter?: "full" | "none";
  maxAttempts?: number;
  resetAfter?: DurationLike;
  maxRetryAfter?: DurationLike;
  retryIf?(error: Error): boolean | undefined;
}

/** The parsed options, with defaults filled in. Durations are in milliseconds. */
export interface Policy {
  readonly minDelay: number;
  readonly maxDelay: number;
  readonly multiplier: number;
  readonly jitter: "full" | "none";
  readonly maxAttempts: number;
  readonly resetAfter: number;
  readonly maxRetryAfter: number;
  readonly retryIf: ((error: Error) => boolean | undefined) | undefined;
}

/**
 * Checks the options and fills in defaults.
 *
 * @throws {TypeError} If an option is invalid.
 * @throws {RangeError} If a number or duration is out of range.
 */
export function parsePolicy(options: PolicyOptions): Policy {
  const { multiplier = 2, maxAttempts = Infinity } = options;
  const min = parseGiven(options.minDelay);
  const max = parseGiven(options.maxDelay);
  if (min !== undefined && max !== undefined && min > max) {
    throw new RangeError(
      `Invalid minDelay: expected at most maxDelay, which is ${max} ms, got ${min} ms`,
    );
  }
  const minDelay = min ?? Math.min(1_000, max ?? Infinity);
  const maxDelay = max ?? Math.max(30_000, minDelay);
  if (typeof multiplier !== "number") {
    throw new TypeError(
      `Invalid multiplier: expected a number, got ${kindOf(multiplier)}`,
    );
  }
  if (!(multiplier >= 1 && multiplier < Infinity)) {
    throw new RangeError(
      `Invalid multiplier: expected a finite number from 1, got ${multiplier}`,
    );
  }
  return {
    minDelay,
    maxDelay,
    multiplier,
    jitter: oneOf("jitter", options.jitter, ["full", "none"]),
    maxAttempts: checkCount("maxAttempts", maxAttempts),
    resetAfter: parseGiven(options.resetAfter) ?? 10_000,
    maxRetryAfter: parseGiven(options.maxRetryAfter) ?? maxDelay,
    retryIf: checkCallback("retryIf", options.retryIf),
  };
}

/** Parses a duration into milliseconds, if it is given. `null` is not `undefined`: it does not parse. */
function parseGiven(value: DurationLike | undefined): number | undefined {
  return value === undefined ? undefined : parseDuration(value);
}

/** Decides whether to connect again after an error: by `retryIf`, or else by the error itself. */
export function isWorthRetrying(error: Error, policy: Policy): boolean {
  return policy.retryIf?.(error) ?? isTransient(error);
}

/** Whether the error may pass by itself: the default decision of `retryIf`. */
function isTransient(error: Error): boolean {
  if (error instanceof ConnectionClosedError) {
    const { code } = error;
    return code !== 1008 && !(code >= 4000 && code <= 4999);
  }
  return !(error instanceof HandshakeError) || error.transient;
}

/** Whether connecting took longer than `handshakeTimeout`. */
export function isTimeout(error: unknown): error is DOMException {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** Whether the server answered that it does not have the endpoint. */
export function isMissing(error: Error): boolean {
  if (!(error instanceof HandshakeError)) return false;
  const status = error.response?.status;
  return (status === 404 || status === 501) && error.by === "server";
}

/** Whether the server did not answer, or could not be asked. */
export function isUnreachable(error: Error): boolean {
  return isTimeout(error) || error instanceof HandshakeError && (
        error.by === "proxy" ||
        error.response === undefined && error.cause !== undefined
      );
}

/**
 * Computes the delay before connecting again, in milliseconds: the backoff, or
 * the time that the server asks for with `Retry-After`, if that is longer.
 *
 * @param attempt The number of the delay, from 1.
 */
export function delayAfter(
  error: Error,
  attempt: number,
  policy: Policy,
): number {
  return Math.max(
    backoff(attempt, policy),
    Math.min(retryAfter(error), policy.maxRetryAfter),
  );
}

/** Computes the length of delay number `attempt`, in milliseconds. */
function backoff(
  attempt: number,
  { minDelay, maxDelay, multiplier, jitter }: Policy,
): number {
  if (minDelay === 0) return 0; // 0 * Infinity would be NaN
  const wait = (n: number) =>
    Math.min(maxDelay, minDelay * multiplier ** (n - 1));
  if (jitter === "none") return wait(attempt);
  return minDelay + Math.random() * (wait(attempt + 1) - minDelay);
}

/** Reads the delay of `Retry-After` (RFC 9110 section 10.2.3), in milliseconds; 0 if there is none. */
function retryAfter(error: Error): number {
  const value = error instanceof HandshakeError &&
    error.response?.headers.get("retry-after");
  if (!value) return 0;
  const delay = /^\d+$/.test(value)
    ? Number(value) * 1_000
    : Date.parse(value) - Date.now();
  return delay > 0 ? delay : 0;
}
