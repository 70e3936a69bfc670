// A client of the issuer, made of openid-client and jose: it prints the address at which
// somebody signs in, reads where the browser was sent back to, gets tokens and prints what
// they say. It fails if either library refuses anything.
import { createInterface } from "node:readline/promises";
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as openid from "openid-client";

const [issuer, clientId, clientSecret, redirect] = process.argv.slice(2);
const config = await openid.discovery(new URL(issuer), clientId, undefined, openid.ClientSecretBasic(clientSecret), {
  execute: [openid.allowInsecureRequests], // the issuer is on this machine
});
const pkceCodeVerifier = openid.randomPKCECodeVerifier();
const [expectedState, expectedNonce] = [openid.randomState(), openid.randomNonce()];
console.log(
  openid.buildAuthorizationUrl(config, {
    redirect_uri: redirect,
    scope: "openid profile offline_access chat",
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    state: expectedState,
    nonce: expectedNonce,
  }).href,
);

const input = createInterface({ input: process.stdin });
const { value: back } = await input[Symbol.asyncIterator]().next();
input.close();
const tokens = await openid.authorizationCodeGrant(config, new URL(back), {
  pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true, maxAge: 600,
});
const { sub } = tokens.claims();
const info = await openid.fetchUserInfo(config, tokens.access_token, sub);

const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri), { timeoutDuration: 30_000 });
const id = await jwtVerify(tokens.id_token, keys, { issuer, audience: clientId, typ: "JWT" });
const access = await jwtVerify(tokens.access_token, keys, { issuer, audience: issuer, typ: "at+jwt", requiredClaims: ["client_id"] });

const fresh = await openid.refreshTokenGrant(config, tokens.refresh_token);
const good = await openid.tokenIntrospection(config, fresh.access_token);
await openid.tokenRevocation(config, fresh.refresh_token);
const gone = await openid.tokenIntrospection(config, fresh.access_token);

console.log(JSON.stringify({
  sub, name: info.preferred_username, scope: tokens.scope, id: id.payload.sub, access: access.payload.sub,
  rotated: fresh.refresh_token !== tokens.refresh_token, active: [good.active, gone.active],
  logout: openid.buildEndSessionUrl(config, { post_logout_redirect_uri: redirect }).href,
}));
