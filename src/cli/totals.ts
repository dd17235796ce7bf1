/** What a tap has received so far. */
export class Totals {
  messages = 0;
  bytes = 0;
  connections = 0;
  dropped = 0;
  readonly #start = performance.now();

  /** Milliseconds since the start. */
  get elapsed(): number {
    return performance.now() - this.#start;
  }

  /** Counts messages that were written. */
  add(messages: number, bytes: number): void {
    this.messages += messages;
    this.bytes += bytes;
  }

  /** The totals in one line. */
  toString(): string {
    const seconds = this.elapsed / 1000;
    const rate = seconds > 0 ? this.messages / seconds : 0;
    return [
      count(this.messages, "message"),
      size(this.bytes),
      `in ${time(this.elapsed)}`,
      `${number(rate)} messages/s`,
      this.connections > 1 && count(this.connections, "connection"),
      this.dropped > 0 && `${number(this.dropped)} dropped`,
    ].filter((part) => part !== false).join(", ");
  }
}

/** A number with its thousands apart; one digit after the point below ten. */
export function number(value: number): string {
  const digits = Number.isInteger(value) || value >= 10 ? 0 : 1;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/** A number of bytes, in the largest unit of 1000 that fits. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1000;
  return `${bytes.toFixed(unit === 0 || bytes >= 100 ? 0 : 1)} ${units[unit]}`;
}

/** A length of time, as in `4.2 s`, `1:05` or `2:03:04`. */
export function time(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const minutes = seconds / 60;
  return minutes < 60
    ? `${Math.floor(minutes)}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** A number of things, as in `1 message` or `1,000 messages`. */
export function count(value: number, name: string): string {
  return `${number(value)} ${name}${value === 1 ? "" : "s"}`;
}
