/** placeholder */
export function completions(_: readonly string[]): string {
  return "";
}
