/** The environment variable that stands in for `--user`. */
export const USER_VARIABLE = "WSTAP_USER";
/** The environment variable that stands in for `--bearer`. */
export const BEARER_VARIABLE = "WSTAP_BEARER";
