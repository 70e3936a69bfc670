// Opens the JWEs on standard input with the library jose, and seals others to the same keys.
import { compactDecrypt, CompactEncrypt, importJWK } from "jose";

let input = "";
for await (const part of process.stdin) input += part;

const answers = [];
for (const { alg, enc, open, seal, sealed } of JSON.parse(input)) {
  const limits = { keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: [enc] };
  const { plaintext, protectedHeader } = await compactDecrypt(sealed, await importJWK(open, alg), limits);
  const made = (header) => new CompactEncrypt(new TextEncoder().encode("from jose")).setProtectedHeader({ alg, enc, ...header });
  const to = await importJWK(seal, alg);
  const agreed = made({});
  if (alg.startsWith("ECDH")) {
    agreed.setKeyManagementParameters({ apu: new TextEncoder().encode("Alice"), apv: new TextEncoder().encode("Bob") });
  }
  answers.push({
    plain: new TextDecoder().decode(plaintext),
    cty: protectedHeader.cty,
    kid: protectedHeader.kid,
    sealed: [await made({}).encrypt(to), await made({ kid: "k", typ: "JWE" }).encrypt(to), await agreed.encrypt(to)],
  });
}
process.stdout.write(JSON.stringify(answers));
