/**
 * The options of the command line, in one table: the parser, the help, the
 * completions, the reference in `docs/command-line.md` and the man page are made
 * from it.
 *
 * @module
 */

import { BEARER_VARIABLE, USER_VARIABLE } from "./variables.ts";

/** What the command line can be asked for besides texts: `tap` is a URL alone. */
export type Command = "tap" | "demo" | "ping" | "replay";

/** One option of the command line. */
export interface Option {
  readonly name: string;
  readonly short?: string;
  /** What the help calls its value; an option without one is a switch. */
  readonly value?: string;
  /** Whether it may be given more than once. */
  readonly repeat?: true;
  /** The only values it takes. */
  readonly choices?: readonly string[];
  /** Its value if it is not given. */
  readonly default?: string;
  /** Whether its value names a file, for completions. */
  readonly file?: true;
  /** The commands that it goes with; by default `tap` and `demo`. */
  readonly for?: readonly Command[];
  /** Whether the help has it on the line of the option before it, which then speaks for both. */
  readonly joins?: true;
  /** A few words for the help and the completions. */
  readonly help: string;
  /** Sentences for the reference and the man page, with `code` between backticks. */
  readonly text: string;
  /** A command line that uses it. */
  readonly example: string;
}

/** The commands that connect. */
const CLIENTS = ["tap", "demo", "ping"] as const;

/** The options under the headings of the help. */
export const GROUPS = {
  "Show the handshake (the response head goes to standard error)": [
    {
      name: "include",
      short: "i",
      help: "print the head on standard output before messages",
      text: "Prints the response head on standard output, before the " +
        "messages. Without it, the head goes to standard error. With " +
        "`--reconnect`, only the head of the first connection is " +
        "printed there. In front of a recording (`--format ndjson -o " +
        "FILE`) it goes to standard output, not into the file.",
      example: "wstap -i -n 1 wss://feed.example/events > with-head.txt",
    },
    {
      name: "head",
      short: "I",
      help: "print the head on standard output, and exit",
      text: "Prints the response head on standard output, closes the " +
        "connection, and exits. If the server refuses the handshake, " +
        "its head is printed likewise, and the exit status is 3.",
      example: "wstap -I wss://feed.example/events",
    },
  ],
  "Receive (each message is a line on standard output)": [
    {
      name: "count",
      short: "n",
      value: "N",
      for: CLIENTS,
      help: "exit after N messages",
      text: "Exits after N messages, or with `wstap ping` after N pings. If " +
        "the run ends before, the exit status is 8.",
      example: "wstap -n 10 wss://feed.example/events",
    },
    {
      name: "duration",
      value: "TIME",
      for: CLIENTS,
      help: "exit after TIME, connecting and delays included",
      text: "Exits after TIME, which bounds the whole run: connecting, and " +
        "with `--reconnect` the delays too. What has arrived is still " +
        "written. If there was no connection until then, the exit " +
        "status is 4.",
      example: "wstap --duration 1m wss://feed.example/events",
    },
    {
      name: "wait",
      short: "w",
      value: "TIME",
      help: "exit when all is sent and no message came for TIME",
      text: "Exits when no message has come for TIME. It starts to count " +
        "when everything that was to be sent has been sent: the " +
        "messages of `--send` and `--send-file`, and standard input to " +
        "its end. Connecting does not count.",
      example:
        'echo \'{"get":"status"}\' | wstap -w 2s wss://feed.example/events',
    },
    {
      name: "format",
      value: "FORMAT",
      choices: ["text", "json", "ndjson"],
      default: "text",
      help: "text, json, or ndjson (time, type, data)",
      text: "How a message is printed. `text`: as it is. `json`: on one " +
        "line if it is JSON, otherwise as a JSON string; on a terminal, " +
        "JSON is indented. `ndjson`: as an object with `time`, `type` " +
        "(`text` or `binary`) and `data` (base64 if it is binary); with " +
        "`--output` that is a recording, which `wstap replay` serves.",
      example: "wstap --format json wss://feed.example/events | jq .",
    },
    {
      name: "batch",
      value: "TIME",
      help: "write the messages of each TIME as a JSON array",
      text: "Writes the messages of each TIME as one JSON array on a line: " +
        "an array of strings, with `--format json` of JSON values, with " +
        "`ndjson` of objects. A TIME without a message writes nothing.",
      example: "wstap --batch 3s wss://feed.example/events",
    },
    {
      name: "max",
      value: "N",
      help: "put at most N messages into an array",
      text: "Puts at most N messages into an array of `--batch`, and writes " +
        "it as soon as it has them.",
      example: "wstap --batch 3s --max 500 wss://feed.example/events",
    },
    {
      name: "decompress",
      value: "METHOD",
      choices: ["gzip", "deflate", "deflate-raw", "zstd"],
      help: "inflate binary messages: gzip, deflate(-raw), zstd",
      text: "Decompresses each binary message, up to 64 MiB. The result " +
        "counts as text if it is UTF-8. A message that cannot be " +
        "decompressed, is cut off, or is larger ends the run with exit " +
        "status 1.",
      example:
        "wstap --decompress gzip --format json wss://feed.example/events",
    },
    {
      name: "timestamps",
      short: "t",
      help: "put the time of arrival (ISO 8601) before each line",
      text: "Writes the time of arrival before each message, in UTC with " +
        "milliseconds. It is the time at which the message was read " +
        "from the network.",
      example: "wstap -t wss://feed.example/events",
    },
    {
      name: "time-format",
      value: "FORMAT",
      help: 'format that time, as in "HH:mm:ss.SSS" (local)',
      text: "Writes the time of arrival in this format, in local time: " +
        "`yyyy`, `MM`, `dd`, `HH`, `mm`, `ss`, `SSS` stand for the " +
        "parts. Includes `--timestamps`.",
      example: "wstap --time-format 'HH:mm:ss.SSS' wss://feed.example/events",
    },
    {
      name: "output",
      short: "o",
      value: "FILE",
      file: true,
      help: "append to FILE; with ndjson it can be replayed",
      text: "Appends the messages to FILE instead of writing them to " +
        "standard output; `-` is standard output. At SIGHUP (not on " +
        "Windows) the file is opened anew, as log rotation needs it.",
      example:
        "wstap -q --format ndjson -o feed.ndjson wss://feed.example/events",
    },
    {
      name: "rotate",
      value: "SIZE|TIME",
      help: "begin a new FILE when it is that large or old",
      text: "Renames the file of `--output` when it has reached this size " +
        "or age, to the next free number (`feed.1.ndjson` is the " +
        "oldest), and goes on in a new one. No message is lost or cut, " +
        "and each file is a recording by itself. `10M` is a size, `10m` " +
        "ten minutes.",
      example:
        "wstap -r -q --format ndjson -o feed.ndjson --rotate 100M wss://feed.example/events",
    },
    {
      name: "record-sent",
      help: "record what is sent, too; it may hold secrets",
      text: "Records the messages that are sent as well, as " +
        '`"from":"client"`, so that `wstap replay --client-messages` ' +
        "can wait for them. Not done by default, since a subscription " +
        "may hold a secret. Needs `--format ndjson` and `--output " +
        "FILE`.",
      example:
        'wstap --record-sent --format ndjson -o talk.ndjson -s \'{"subscribe":"trades"}\' wss://feed.example/events',
    },
    {
      name: "binary",
      help: "write no line breaks; send bytes, not text",
      text: "Writes messages one after another, without a line break " +
        "between them, and sends binary messages instead of text: what " +
        "`--send`, `--send-file`, `--heartbeat` and standard input " +
        "give, whether it is UTF-8 or not.",
      example: "wstap -q --binary wss://feed.example/events > feed.bin",
    },
    {
      name: "summary",
      help: "print totals on standard error at the end",
      text: "Prints one line on standard error at the end: messages, bytes, " +
        "time, rate, and connections if there were several.",
      example:
        "wstap --summary --duration 1m wss://feed.example/events > /dev/null",
    },
  ],
  "Send (first these, then each line of standard input)": [
    {
      name: "send",
      short: "s",
      value: "TEXT",
      repeat: true,
      help: "send TEXT as a message; repeatable",
      text: "Sends TEXT as a message on each connection, as soon as it is " +
        "open. Repeatable.",
      example:
        'wstap -n 1 -s \'{"subscribe":"trades"}\' wss://feed.example/events',
    },
    {
      name: "send-file",
      value: "FILE",
      repeat: true,
      file: true,
      help: "send all of FILE as one message; repeatable",
      text: "Sends all of FILE as one message on each connection, after the " +
        "messages of `--send`; `-` is standard input. Repeatable.",
      example: "wstap --send-file request.json -n 1 wss://feed.example/events",
    },
    {
      name: "no-input",
      help: "leave standard input alone, as ssh -n does",
      text: "Reads nothing from standard input, as `ssh -n` does. Without " +
        'it, `wstap` in a loop such as `while read url; do wstap "$url"; ' +
        "done` takes the rest of the list for messages, and sends it to " +
        "the first server.",
      example:
        'while read -r url; do wstap --no-input -n 3 "$url"; done < urls.txt',
    },
    {
      name: "heartbeat",
      value: "TEXT",
      help: "send TEXT every --heartbeat-interval",
      text: "Sends TEXT as a message again and again while connected, for " +
        "servers that end a connection on which a client says nothing. " +
        "For pings, which need no message, see `--ping-interval`.",
      example: 'wstap --heartbeat \'{"op":"ping"}\' wss://feed.example/events',
    },
    {
      name: "heartbeat-interval",
      value: "TIME",
      default: "30s",
      help: "how often to send it",
      text: "How often the message of `--heartbeat` is sent; the first one " +
        "that long after the connection opened.",
      example:
        "wstap --heartbeat ping --heartbeat-interval 10s wss://feed.example/events",
    },
  ],
  "Connect": [
    {
      name: "header",
      short: "H",
      value: "LINE",
      repeat: true,
      for: [...CLIENTS, "replay"],
      help: 'send a header, as in "Name: value"; repeatable',
      text: "Sends a header with each request of the handshake; with `wstap " +
        "replay`, with each response. `@FILE` is a file with one header " +
        "on each line (empty lines and lines with `#` are left out), " +
        "which is read again before each attempt; `@-` is standard " +
        "input. Repeatable.",
      example:
        "wstap -H 'X-Api-Version: 2' -H @headers.txt wss://feed.example/events",
    },
    {
      name: "user",
      short: "u",
      value: "NAME[:PW]",
      for: CLIENTS,
      help: "basic authentication; asks for a missing password",
      text: "Basic authentication. A missing password is asked for on the " +
        "terminal. `@FILE` is a file whose first line is the value, " +
        "read again before each attempt; `@-` is standard input. The " +
        "variable `WSTAP_USER` stands in for the option.",
      example: "wstap -u alice wss://feed.example/events",
    },
    {
      name: "bearer",
      value: "TOKEN",
      for: CLIENTS,
      help: "bearer authentication",
      text: "Bearer authentication. `@FILE` is a file whose first line is " +
        "the token, read again before each attempt; `@-` is standard " +
        "input. The variable `WSTAP_BEARER` stands in for the option.",
      example: "wstap --bearer @token.txt wss://feed.example/events",
    },
    {
      name: "protocol",
      short: "p",
      value: "NAME",
      repeat: true,
      for: CLIENTS,
      help: "offer a subprotocol; repeatable",
      text: "Offers a subprotocol. Repeatable, in order of preference.",
      example: "wstap -p events.v2 -p events.v1 wss://feed.example/events",
    },
    {
      name: "capture",
      value: "MODE",
      choices: ["preflight", "direct", "none"],
      default: "preflight",
      help: "get the head by preflight, direct, none",
      text: "Where the response head comes from. `preflight`: from a " +
        "request before the connection. `direct`: from the connection " +
        "itself, which wstap then runs without Deno's WebSocket: a reader " +
        "that is too slow makes the server wait, and compression and pings " +
        "work. `none`: from Deno's WebSocket, which reports the status, the " +
        "subprotocol and the extensions alone. Options that need `direct` " +
        "choose it.",
      example: "wstap --capture direct wss://feed.example/events",
    },
    {
      name: "redirect",
      value: "HOW",
      choices: ["error", "follow"],
      default: "error",
      for: CLIENTS,
      help: "what to do at a redirect: error, follow",
      text: "What to do when the server answers with a redirect. Ten " +
        "redirects at the most are followed, none of them from `wss:` " +
        "to `ws:`, and credentials go to the same origin only.",
      example: "wstap --redirect follow wss://feed.example/events",
    },
    {
      name: "location",
      short: "L",
      for: CLIENTS,
      help: "follow redirects: the same as --redirect follow",
      text: "Follows redirects, as `--redirect follow` does.",
      example: "wstap -L wss://feed.example/events",
    },
    {
      name: "timeout",
      value: "TIME",
      default: "30s",
      for: CLIENTS,
      help: "the longest time for the handshake",
      text: "How long connecting may take: the name, TCP, TLS, the " +
        "pre-flight and redirects together.",
      example: "wstap --timeout 5s wss://feed.example/events",
    },
    {
      name: "compress",
      help: "offer compression; chooses direct",
      text: "Offers compression (permessage-deflate). Chooses `--capture " +
        "direct`.",
      example: "wstap --compress wss://feed.example/events",
    },
    {
      name: "ping-interval",
      value: "TIME",
      help: "send a ping every TIME; chooses direct",
      text: "Sends a ping every TIME, and gives the connection up if it is " +
        "not answered within `--ping-timeout`. Chooses `--capture " +
        "direct`.",
      example: "wstap -r --ping-interval 20s wss://feed.example/events",
    },
    {
      name: "ping-timeout",
      value: "TIME",
      default: "20s",
      for: CLIENTS,
      help: "the longest wait for a pong; chooses direct",
      text: "How long the answer to a ping may take, of `--ping-interval` " +
        "and of `wstap ping`. Chooses `--capture direct`.",
      example:
        "wstap --ping-interval 20s --ping-timeout 5s wss://feed.example/events",
    },
    {
      name: "idle-timeout",
      value: "TIME",
      for: CLIENTS,
      help: "give the connection up after TIME without traffic",
      text: "Gives the connection up when nothing has been received for " +
        "TIME: with `--capture direct` not even a ping, otherwise no " +
        "message.",
      example: "wstap -r --idle-timeout 1m wss://feed.example/events",
    },
    {
      name: "message-timeout",
      value: "TIME",
      help: "give it up after TIME without a message",
      text: "Gives the connection up when no message has come for TIME, " +
        "whatever the server answers to pings. With `--reconnect`, the " +
        "run goes on with a new connection; to end the run, use " +
        "`--wait`.",
      example: "wstap -r --message-timeout 5m wss://feed.example/events",
    },
    {
      name: "max-buffer",
      value: "SIZE",
      default: "64M",
      help: "how much may wait to be written",
      text: "How much may have been received and not yet been written. With " +
        "`--capture direct` the server has to wait from a quarter of it " +
        "on, otherwise see `--overflow`.",
      example: "wstap --max-buffer 256M wss://feed.example/events | wc -l",
    },
    {
      name: "overflow",
      value: "HOW",
      choices: ["error", "drop-oldest"],
      default: "error",
      help: "beyond that: error or drop-oldest",
      text: "What to do beyond `--max-buffer`: end the connection, or drop " +
        "the oldest messages. With `--capture direct` neither happens.",
      example:
        "wstap --overflow drop-oldest --capture none wss://feed.example/events",
    },
    {
      name: "insecure",
      short: "k",
      for: CLIENTS,
      help: "accept any certificate; chooses direct",
      text: "Accepts any certificate of the server: a self-signed one, an " +
        "expired one, one for another name. Nothing then protects the " +
        "connection from somebody in between: for development only. " +
        "Chooses `--capture direct`; as a script, it needs Deno 2.8 or " +
        "newer.",
      example: "wstap -k wss://localhost:8443/",
    },
    {
      name: "ca-cert",
      value: "FILE",
      repeat: true,
      file: true,
      for: CLIENTS,
      help: "trust this authority (PEM) as well; repeatable",
      text: "Trusts the authorities in FILE (PEM) in addition to the usual " +
        "ones: the certificate of the authority that has signed the " +
        "server's, or a self-signed one of the server, if it is not marked " +
        "as that of an authority (`CA:FALSE`). Repeatable.",
      example: "wstap --ca-cert ca.pem wss://feed.internal/events",
    },
    {
      name: "cert",
      value: "FILE",
      file: true,
      for: CLIENTS,
      help: "the client's certificate and its key (PEM)",
      text: "The client certificate (PEM). Needs `--key`.",
      example:
        "wstap --cert client.pem --key client.key wss://feed.example/events",
    },
    {
      name: "key",
      value: "FILE",
      file: true,
      for: CLIENTS,
      joins: true,
      help: "the private key of --cert (PEM)",
      text: "The private key of `--cert` (PEM).",
      example:
        "wstap --cert client.pem --key client.key wss://feed.example/events",
    },
    {
      name: "proxy",
      value: "URL",
      for: CLIENTS,
      help: "go through an http:, https: or socks5: proxy",
      text: "Connects through a proxy, whatever `NO_PROXY` says: an " +
        "`http:`, `https:` or `socks5:` URL, with a name and a password " +
        "if it wants them. `@FILE` is a file whose first line is the " +
        "URL. Without the option, `HTTP_PROXY`, `HTTPS_PROXY`, " +
        "`ALL_PROXY` and `NO_PROXY` count.",
      example:
        "wstap --proxy http://proxy.example:3128 wss://feed.example/events",
    },
    {
      name: "connect-to",
      value: "HOST:PORT",
      for: CLIENTS,
      help: "connect there, not to the URL's host",
      text: "Connects to this host and port instead of the URL's: a tunnel, " +
        "or one node of a cluster. The `Host` header and the check of " +
        "the certificate stay those of the URL. Chooses `--capture direct`.",
      example: "wstap --connect-to 10.0.0.7:443 wss://feed.example/events",
    },
    {
      name: "unix-socket",
      value: "PATH",
      file: true,
      for: CLIENTS,
      help: "connect to this Unix socket instead",
      text: "Connects to a Unix socket instead of the URL's host. The " +
        "`Host` header stays that of the URL. Chooses `--capture direct`.",
      example: "wstap --unix-socket /run/feed.sock ws://localhost/events",
    },
  ],
  "Connect again": [
    {
      name: "reconnect",
      short: "r",
      help: "connect again after every end and failure",
      text: "Connects again after every end of a connection and every " +
        "failure, after a delay that grows each time; but not after a " +
        "refusal that will not change (such as 401, 403 or 404), nor " +
        "after the close codes of `--stop-on`. The line that says why " +
        "says so with `--quiet`, too.",
      example:
        "wstap -r -q --format ndjson -o feed.ndjson wss://feed.example/events",
    },
    {
      name: "stop-on",
      value: "CODES",
      default: "1008,4000-4999",
      help: "except after these close codes",
      text: "The close codes after which `--reconnect` ends the run: codes " +
        "and ranges with commas between them, or `none`.",
      example:
        "wstap -r --stop-on 1000,1008,4000-4999 wss://feed.example/events",
    },
    {
      name: "min-delay",
      value: "TIME",
      default: "1s",
      help: "the first delay before it",
      text: "The first delay of `--reconnect`. Delays grow from it up to " +
        "`--max-delay`, and have a random part.",
      example: "wstap -r --min-delay 100ms wss://feed.example/events",
    },
    {
      name: "max-delay",
      value: "TIME",
      default: "30s",
      help: "the longest delay; delays grow up to it",
      text: "The longest delay of `--reconnect`. It bounds `Retry-After`, " +
        "too.",
      example: "wstap -r --max-delay 5m wss://feed.example/events",
    },
    {
      name: "max-attempts",
      value: "N",
      help: "give up after N failures in a row",
      text: "Gives up after N failures in a row, with the exit status of " +
        "the last one.",
      example: "wstap -r --max-attempts 5 wss://feed.example/events",
    },
  ],
  "wstap ping": [
    {
      name: "interval",
      value: "TIME",
      default: "1s",
      for: ["ping"],
      help: "send a ping every TIME",
      text: "How often `wstap ping` sends a ping.",
      example: "wstap ping -n 3 --interval 200ms wss://feed.example/echo",
    },
  ],
  "wstap replay, wstap demo --listen": [
    {
      name: "listen",
      for: ["demo"],
      help: "keep the demo's feed running for other clients",
      text: "Serves the feed of `wstap demo` for other clients until " +
        "Ctrl-C, and prints its URLs.",
      example: "wstap demo --listen --port 8080",
    },
    {
      name: "port",
      value: "N",
      for: ["replay", "demo"],
      help: "listen on port N instead of a free one",
      text: "The port to listen on, at 127.0.0.1. By default, one that is " +
        "free.",
      example: "wstap replay --port 8080 feed.ndjson",
    },
    {
      name: "speed",
      value: "N",
      default: "1",
      for: ["replay"],
      help: "play N times as fast; max for no delays",
      text: "Plays the recording N times as fast as it was recorded; `max` " +
        "leaves out all delays.",
      example: "wstap replay --speed 10 feed.ndjson",
    },
    {
      name: "loop",
      for: ["replay"],
      help: "start again at the end instead of closing",
      text: "Starts again at the end of the recording, instead of closing " +
        "the connection.",
      example: "wstap replay --loop feed.ndjson",
    },
    {
      name: "close-after",
      value: "N[:CODE]",
      for: ["replay"],
      help: "close after N messages, with CODE (1000)",
      text: "Closes each connection after N messages, with the close code " +
        "CODE, which is 1000 by default.",
      example: "wstap replay --close-after 100:1011 feed.ndjson",
    },
    {
      name: "drop-after",
      value: "N",
      for: ["replay"],
      help: "cut the connection after N messages",
      text: "Cuts each connection after N messages, without a close frame.",
      example: "wstap replay --drop-after 100 feed.ndjson",
    },
    {
      name: "stall-after",
      value: "N",
      for: ["replay"],
      help: "send and answer nothing after N messages",
      text: "Sends nothing and answers nothing after N messages, as a " +
        "server that hangs.",
      example: "wstap replay --stall-after 100 feed.ndjson",
    },
    {
      name: "refuse",
      value: "STATUS[:N]",
      for: ["replay"],
      help: "refuse all handshakes, or the first N",
      text: "Refuses all handshakes with this HTTP status, or the first N " +
        "of them.",
      example: "wstap replay --refuse 503:3 feed.ndjson",
    },
    {
      name: "client-messages",
      value: "HOW",
      choices: ["ignore", "any", "exact"],
      default: "ignore",
      for: ["replay"],
      help: "of a client: ignore, any, exact",
      text: "What the feed waits for where the recording has a message of " +
        "the client. `ignore`: nothing. `any`: until the client has " +
        "sent a message. `exact`: until it has sent the same one (JSON " +
        "is compared as values); another one is reported, and the " +
        "connection closed with 1008.",
      example: "wstap replay --client-messages exact talk.ndjson",
    },
    {
      name: "entry",
      value: "N|TEXT",
      for: ["replay"],
      help: "which connection of a HAR: number or part of URL",
      text: "Which WebSocket connection of a HAR file to serve: its number " +
        "among them, from 0, or a part of its URL.",
      example: "wstap replay --entry 1 session.har",
    },
    {
      name: "allow-origin",
      value: "ORIGIN",
      repeat: true,
      for: ["replay"],
      help: "let pages of ORIGIN connect, too; repeatable",
      text: "Lets web pages of this origin connect; `*` lets all. Pages of " +
        "this machine (`localhost`, 127.0.0.1) always may. Repeatable.",
      example: "wstap replay --allow-origin https://app.example feed.ndjson",
    },
  ],
  "Other": [
    {
      name: "quiet",
      short: "q",
      for: [...CLIENTS, "replay"],
      help: "show errors only: no head, no status line",
      text: "Shows only what went wrong: no response head, no status line, " +
        "no notes.",
      example: "wstap -q wss://feed.example/events",
    },
    {
      name: "verbose",
      short: "v",
      for: CLIENTS,
      help: "show the request too, secrets masked, and timings",
      text: "Shows the head of each request as well, with secrets masked, " +
        "and how long each answer took.",
      example: "wstap -v -n 1 wss://feed.example/events",
    },
    {
      name: "help",
      short: "h",
      for: [...CLIENTS, "replay"],
      help: "print this text, or the version",
      text: "Prints the help; after `ping` or `replay`, that of the " +
        "command.",
      example: "wstap replay --help",
    },
    {
      name: "version",
      short: "V",
      for: [...CLIENTS, "replay"],
      joins: true,
      help: "print the version",
      text: "Prints the version.",
      example: "wstap --version",
    },
  ],
} as const satisfies Record<string, readonly Option[]>;

type Known = typeof GROUPS[keyof typeof GROUPS][number];

/** The names of the options that are switches. */
export type SwitchName = Exclude<Known, { value: string }>["name"];
/** The names of the options that take a value. */
export type ValueName = Extract<Known, { value: string }>["name"];
/** The names of the options that take one of a few words. */
export type ChoiceName = Extract<Known, { choices: unknown }>["name"];
/** The words that an option takes. */
export type Choice<N extends ChoiceName> = Extract<
  Known,
  { name: N; choices: unknown }
>["choices"][number];

/** Every option, in the order of the help. */
export const OPTIONS: readonly (Option & { name: SwitchName | ValueName })[] =
  Object.values(GROUPS).flat();

/** Whether an option goes with a command. */
export function isFor(option: Option, command: Command): boolean {
  return (option.for ?? ["tap", "demo"]).includes(command);
}

/** The ways to spell an option: its letter if it has one, and its name. */
export function optionFlags({ short, name }: Option): string[] {
  return short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];
}

/** What can stand in the place of the URL. */
export const COMMANDS = ["ping", "replay", "demo", "completions"] as const;

/** The shells that `completions` knows. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** The ways to call it, and what each does. */
export const USAGES: readonly [words: string, meaning: string][] = [
  ["[OPTION...] URL [FALLBACK-URL...]", "receive a feed"],
  ["ping [OPTION...] URL", "measure round trips"],
  ["replay [OPTION...] FILE", "serve a recording, or a HAR"],
  ["demo [OPTION...]", "receive a feed of this machine"],
  ["demo --listen [--port N]", "serve that feed to others"],
  [`completions ${SHELLS.join("|")}`, "print completions"],
];

/** The exit statuses: in a few words for the help, and in full. */
export const STATUSES: readonly [
  status: number,
  words: string,
  meaning: string,
][] = [
  [
    0,
    "the feed, a limit or the reader of the pipe ended it",
    "The feed, a limit (`--count`, `--duration`, `--wait`) or the reader of the pipe ended it.",
  ],
  [
    1,
    "lost, buffer overflow or no pong",
    "The connection was lost or broke the protocol, the buffer overflowed, or a pong is missing.",
  ],
  [
    2,
    "wrong usage",
    "The command line is wrong, or a file that it names cannot be used.",
  ],
  [
    3,
    "refused",
    "The server refused the handshake, or gave an invalid answer.",
  ],
  [
    4,
    "cannot connect",
    "The server cannot be reached, or did not answer in time; `--duration` ended the run before there was a connection.",
  ],
  [5, "cannot write", "The output cannot be written."],
  [6, "permission missing", "A permission of Deno is missing."],
  [
    7,
    "closed with an error code",
    "The server closed the connection with another code than 1000, 1001 or none.",
  ],
  [
    8,
    "ended before --count",
    "The run ended before `--count` was reached, and 7 does not hold.",
  ],
  [70, "bug", "An error in wstap itself."],
  [130, "interrupted", "Interrupted (Ctrl-C)."],
  [143, "terminated", "Terminated (SIGTERM)."],
];

/** What the help and the man page say of values and of input. */
export const NOTES: readonly [title: string, text: string][] = [
  [
    "Input",
    "at a terminal, each line that is typed is sent, and Ctrl-D closes; otherwise " +
    "standard input is sent, and its end ends nothing (see --wait).",
  ],
  [
    "Secrets",
    `to keep one off the command line, give @FILE or @- as the value of -H, -u, ` +
    `--bearer or --proxy, or set ${USER_VARIABLE} or ${BEARER_VARIABLE}.`,
  ],
];
