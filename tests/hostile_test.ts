import { compression } from "./hostile/compression.ts";
import {
  closes,
  codes,
  control,
  floods,
  fragments,
  framing,
  utf8,
} from "./hostile/frames.ts";
import { bodies, heads, redirects, rules } from "./hostile/handshakes.ts";
import { table } from "./hostile/hostile.ts";
import { endings, silence, tls } from "./hostile/timing.ts";

table([...rules, ...heads, ...bodies, ...redirects]);
table([...framing, ...fragments, ...utf8, ...control, ...closes, ...codes]);
table(compression);
table([...floods, ...silence, ...endings, ...tls]);
