import { parseDuration } from "@wstap/wstap";
import { commandLines } from "../properties/arguments.ts";
import { durations } from "../properties/durations.ts";
import { frames } from "../properties/frames.ts";
import { inbox } from "../properties/inbox.ts";
import { testAll, testFor } from "../properties/property.ts";
import { form } from "./_form.ts";

const properties = [...inbox, ...frames, ...durations, ...commandLines];
const time = Deno.env.get("WSTAP_PROPERTIES");

if (time === undefined) testAll(properties, form(2, 30));
else testFor(properties, parseDuration(time));
