// A bot in JavaScript that streams its answer. No package is needed.
//
//   WEBHOOK_SECRET=… node bot.mjs 9000
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secret = process.env.WEBHOOK_SECRET;
const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret);

function signed(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": given = "" } = headers;
  const want = Buffer.from("v1," + createHmac("sha256", key).update(`${id}.${at}.${body}`).digest("base64"));
  const fresh = Math.abs(Date.now() / 1000 - at) < 300;
  return fresh && given.split(" ").map((s) => Buffer.from(s)).some((s) => s.length === want.length && timingSafeEqual(s, want));
}

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  if (!signed(request.headers, body)) return response.writeHead(401).end();

  const { type, data } = JSON.parse(body);
  const say = (part) => response.write(JSON.stringify(part) + "\n");
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  if (type === "message.created") {
    for (const word of ["You ", "said: ", data.message.body.text]) {
      say({ delta: { text: word } }); // shown at once; together they are the message
      await new Promise((done) => setTimeout(done, 100));
    }
  }
  response.end();
}).listen(process.argv[2], "127.0.0.1");
