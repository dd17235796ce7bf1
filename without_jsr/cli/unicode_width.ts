import { eastAsianWidth } from "npm:get-east-asian-width@1.7.0";

/** Control characters, and those that are drawn into the one before them, as parts of Korean syllables are. */
const NO_WIDTH = /[\p{Cc}\p{Cf}\p{Mn}\p{Me}\u1160-\u11ff]/u;

/** The columns that a terminal needs for a text. */
export function unicodeWidth(str: string): number {
  let width = 0;
  for (const character of str) {
    if (!NO_WIDTH.test(character)) {
      width += eastAsianWidth(character.codePointAt(0)!);
    }
  }
  return width;
}
