import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkCertificates } from "../src/certificates.ts";
import { certificates } from "./fixtures/certs.ts";
import { testsWith } from "./fixtures/installed.ts";
import { hasOpenssl, OpensslFolder } from "./fixtures/openssl.ts";

const withOpenssl = testsWith("openssl", hasOpenssl);

type PemTexts = Parameters<typeof checkCertificates>[0];

/** Asserts that texts are refused with this message, which repeats no line of them. */
function refuses(texts: PemTexts, message: string): void {
  const error = assertThrows(() => checkCertificates(texts), TypeError);
  assertEquals(error.message, message);
  for (const text of [...texts.caCerts ?? [], texts.key, texts.cert]) {
    const lines = text?.split("\n").filter((line) => !/^-|^.{0,8}$/.test(line));
    for (const line of lines ?? []) assert(!error.message.includes(line), line);
  }
}

Deno.test("checkCertificates() takes certificates, and a certificate with its key", async () => {
  const { ca, other, client } = await certificates();
  checkCertificates({});
  checkCertificates({ caCerts: [] });
  checkCertificates({ caCerts: [ca, other.ca] });
  checkCertificates({ caCerts: [`# mine\n${ca}\n# and\n${other.ca}`] });
  checkCertificates({ caCerts: [ca.replaceAll("\n", "\r\n")] });
  checkCertificates({ caCerts: [ca], ...client });
  checkCertificates({ ...client, cert: `${client.cert}\n${ca}` });
});

Deno.test("checkCertificates() refuses caCerts that are none", async () => {
  const { ca, client } = await certificates();
  const pem = "Invalid http.caCerts: expected a certificate as PEM text, ";
  refuses({ caCerts: [ca, ""] }, pem + "got an empty text");
  refuses({ caCerts: ["./ca.pem"] }, pem + "got other text");
  refuses({ caCerts: [client.key] }, pem + "got a private key");
  const misplaced = 'got one whose "-----BEGIN" is not at the start of a line';
  refuses({ caCerts: [`  ${ca}`] }, pem + misplaced);
  refuses({ caCerts: [ca.trim() + ca] }, pem + misplaced);
  const broken =
    "Invalid http.caCerts: expected a certificate that can be parsed";
  refuses({ caCerts: [ca.slice(0, 300)] }, broken);
  refuses({ caCerts: [`${ca}\n${ca.slice(0, 300)}`] }, broken);
  refuses({ caCerts: [ca.replace(/\n.{8}/, "\nAAAAAAAA")] }, broken);
  refuses({ caCerts: [ca.replace(/\n.{8}/, "\n!!!!!!!!")] }, broken);
});

Deno.test("checkCertificates() looks again at texts that it has refused", () => {
  for (let i = 0; i < 2; i++) {
    assertThrows(() => checkCertificates({ caCerts: ["x"] }), TypeError);
  }
});

Deno.test("checkCertificates() refuses a cert that is none, and a key that is none or another's", async () => {
  const { server, client } = await certificates();
  const { cert, key } = client;
  refuses(
    { cert: key, key: cert },
    "Invalid http.cert: expected a certificate as PEM text, got a private key",
  );
  refuses(
    { cert: cert.slice(0, 300), key },
    "Invalid http.cert: expected a certificate that can be parsed",
  );
  refuses(
    { cert, key: cert },
    "Invalid http.key: expected a private key as PEM text, got a certificate",
  );
  // Before Deno 2.9.6, Deno itself ends the process if a key is another's.
  refuses(
    { cert, key: server.key },
    "Invalid http.key: it is not the private key of http.cert",
  );
});

Deno.test("checkCertificates() refuses a key that breaks off", async () => {
  const { client: { cert, key } } = await certificates();
  const error = assertThrows(
    () => checkCertificates({ cert, key: key.slice(0, 60) }),
    TypeError,
  );
  assert(error.message.startsWith("Invalid http.key: "), error.message);
});

withOpenssl("checkCertificates() says what a file of openssl is", async () => {
  await using files = new OpensslFolder();
  const { run, read } = {
    run: files.run.bind(files),
    read: files.read.bind(files),
  };
  await run("req -x509 -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=a");
  await run("x509 -in c -outform der -out c.der");
  await run("x509 -in c -trustout -out trusted");
  await run("req -new -key k -subj /CN=a -out csr");
  await run("rsa -in k -pubout -out public");
  await run("pkey -in k -outform der -out k.der");
  await run("pkey -in k -aes256 -passout pass:x -out encrypted");
  await run("rsa -in k -aes256 -passout pass:x -traditional -out encrypted1");
  const [cert, key] = [read("c"), read("k")];
  const der = 'got DER ("openssl x509 -inform der" and ' +
    '"openssl pkey -inform der" convert it)';
  const encrypted = 'got an encrypted one ("openssl pkey" decrypts it)';
  for (
    const [name, found] of [
      ["c.der", der],
      ["trusted", 'got "TRUSTED CERTIFICATE"'],
      ["csr", 'got "CERTIFICATE REQUEST"'],
      ["public", 'got "PUBLIC KEY"'],
      ["k", "got a private key"],
    ] as const
  ) {
    const message = `expected a certificate as PEM text, ${found}`;
    refuses({ caCerts: [read(name)] }, `Invalid http.caCerts: ${message}`);
    refuses({ cert: read(name), key }, `Invalid http.cert: ${message}`);
  }
  for (
    const [name, found] of [
      ["k.der", der],
      ["encrypted", encrypted],
      ["encrypted1", encrypted],
      ["public", 'got "PUBLIC KEY"'],
    ] as const
  ) {
    refuses(
      { cert, key: read(name) },
      `Invalid http.key: expected a private key as PEM text, ${found}`,
    );
  }
});

withOpenssl(
  "checkCertificates() takes the kinds of keys that openssl makes",
  async () => {
    await using files = new OpensslFolder();
    const kinds = [
      "rsa:2048",
      "ed25519",
      ...["prime256v1", "secp384r1"].map((it) =>
        `ec -pkeyopt ec_paramgen_curve:${it}`
      ),
    ];
    const identities = [];
    for (const kind of kinds) {
      await files.run(
        `req -x509 -newkey ${kind} -nodes -keyout k -out c -subj /CN=a`,
      );
      identities.push({ cert: files.read("c"), key: files.read("k") });
      if (kind === "ed25519") continue; // it has one form alone
      const form = kind.split(/[: ]/)[0];
      await files.run(
        `${form} -in k -out old${form === "rsa" ? " -traditional" : ""}`,
      );
      identities.push({ cert: files.read("c"), key: files.read("old") });
    }
    for (const identity of identities) checkCertificates(identity);
    const others = [...identities.slice(2), ...identities.slice(0, 2)];
    for (const [i, { cert }] of identities.entries()) {
      refuses(
        { cert, key: others[i]!.key },
        "Invalid http.key: it is not the private key of http.cert",
      );
    }
  },
);
