// An OpenID Connect issuer for tests: oidc-provider, which is certified by the OpenID Foundation.
//
//   node issuer.mjs REDIRECT_URI AUDIENCE SECRET
//
// Listens on a free port of 127.0.0.1 and prints its address as one line of JSON. Each line on
// standard input gives it new signing keys and takes the old ones away, answered by the same line.
// It ends when standard input does.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

const [redirectUri, audience, secret] = process.argv.slice(2);
const cookieKey = randomUUID();

function freshKeys() {
  const use = "sig";
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  return [
    { ...rsa.export({ format: "jwk" }), use, alg: "RS256", kid: randomUUID() },
    { ...ec.export({ format: "jwk" }), use, alg: "ES256", kid: randomUUID() },
  ];
}

function client(id, more) {
  return {
    client_id: id,
    redirect_uris: [redirectUri],
    response_types: ["code"],
    grant_types: ["authorization_code", "client_credentials"],
    ...more,
  };
}

function provider(url) {
  const made = new Provider(url, {
    jwks: { keys: freshKeys() },
    cookies: { keys: [cookieKey] },
    conformIdTokenClaims: false,
    claims: { openid: ["sub"], profile: ["name", "groups"] },
    pkce: { required: () => true },
    clients: [
      client("sekisho-secret", { client_secret: secret }),
      client("sekisho-es256", { client_secret: secret, id_token_signed_response_alg: "ES256" }),
      client("sekisho-public", {
        token_endpoint_auth_method: "none",
        grant_types: ["authorization_code"],
      }),
    ],
    findAccount: (_, sub) => ({
      accountId: sub,
      claims: () => ({ sub, name: `name of ${sub}`, groups: ["finance", "everyone"] }),
    }),
    extraTokenClaims: () => ({ groups: ["finance"] }),
    ttl: { AccessToken: 600, ClientCredentials: 600, IdToken: 600 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, asked) => ({
          scope: "ask",
          audience: asked,
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
  return made.callback();
}

console.info = console.error; // the package's notices; standard output is for our lines

let answer;
const server = createServer((request, response) => answer(request, response));
server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  answer = provider(url);
  console.log(JSON.stringify({ url }));
  const lines = createInterface({ input: process.stdin });
  lines.on("line", () => {
    answer = provider(url);
    console.log(JSON.stringify({ url }));
  });
  lines.on("close", () => process.exit(0));
});
