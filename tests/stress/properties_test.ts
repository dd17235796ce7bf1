import { parseDuration } from "@wstap/wstap";
import { commandLines } from "../properties/arguments.ts";
import { durations } from "../properties/durations.ts";
import { frames } from "../properties/frames.ts";
import { inbox } from "../properties/inbox.ts";
import { testAll, testFor } from "../properties/property.ts";
import { short } from "./_form.ts";

const properties = [...inbox, ...frames, ...durations, ...commandLines];
const time = Deno.env.get("WSTAP_PROPERTIES");

// The short form has none: the normal suite has just tried them, with a fresh seed.
if (time !== undefined) testFor(properties, parseDuration(time));
else if (!short) testAll(properties, 30);
