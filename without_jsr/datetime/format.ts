import dayjs from "npm:dayjs@1.11.23";
import utc from "npm:dayjs@1.11.23/plugin/utc.js";

dayjs.extend(utc);

// The tokens of @std/datetime. All other letters are printed as they are, also
// those that are tokens of dayjs.
const TOKEN = /yyyy|yy|MM?|dd?|HH?|hh?|mm?|ss?|S{1,3}|'(?<quoted>[^']*)'|[^]/g;

/** Formats a date as `@std/datetime` does, in the local time zone or in UTC. */
export function format(
  date: Date,
  formatString: string,
  options: { timeZone?: "UTC" } = {},
): string {
  const day = options.timeZone === "UTC" ? dayjs.utc(date) : dayjs(date);
  return formatString.replaceAll(TOKEN, (token, quoted?: string) => {
    if (quoted !== undefined) return quoted;
    if (token.startsWith("S")) return day.format("SSS").slice(0, token.length);
    return /^[yMdHhms]/.test(token)
      ? day.format(token.replaceAll("y", "Y").replaceAll("d", "D"))
      : token;
  });
}
