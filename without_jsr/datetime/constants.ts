/** The number of milliseconds in a second. */
export const SECOND = 1_000;
/** The number of milliseconds in a minute. */
export const MINUTE: number = 60 * SECOND;
/** The number of milliseconds in an hour. */
export const HOUR: number = 60 * MINUTE;
/** The number of milliseconds in a day. */
export const DAY: number = 24 * HOUR;
/** The number of milliseconds in a week. */
export const WEEK: number = 7 * DAY;
