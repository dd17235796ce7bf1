import { commandLines } from "../properties/arguments.ts";
import { durations } from "../properties/durations.ts";
import { frames } from "../properties/frames.ts";
import { inbox } from "../properties/inbox.ts";
import { testAll } from "../properties/property.ts";
import { form } from "./_form.ts";

testAll([...inbox, ...frames, ...durations, ...commandLines], form(2, 30));
