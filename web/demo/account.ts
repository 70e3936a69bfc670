import { CarnetError } from "/sdk/carnet-chat.js";

/** Who talks, and what this tab shows for it. */
export interface Account {
  readonly name: string;
  readonly token: string;
  /** Of a user who signed in, if the app may have one. */
  readonly refreshToken?: string | undefined;
  /** In Date.now's milliseconds. */
  readonly expires: number;
}

const KEY = "carnet demo account";

/** A token with less time left, in milliseconds, is not worth showing. */
const LEFT = 20_000;

export function stored(): Account | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "") as Account;
  } catch {
    return undefined;
  }
}

export function store(account: Account | undefined): void {
  if (account) sessionStorage.setItem(KEY, JSON.stringify(account));
  else sessionStorage.removeItem(KEY);
}

/** Signs a user in. The message of the error is for the user. */
export async function signIn(clientID: string, username: string, password: string): Promise<Account> {
  return member(username, await post("/login", { username, password, scope: "chat", client_id: clientID }));
}

/** Begins a visit: a session of nobody known, as long as its token. */
export async function visit(clientID: string): Promise<Account> {
  const { jwt } = await post("/sts", { clientId: clientID, isAnonymous: "true" });
  const { iat, exp } = claims(String(jwt));
  return { name: "Visitor", token: String(jwt), expires: Date.now() + (exp - iat) * 1_000 };
}

/** The assertion of the account: its token, or a new one for it. */
export function assertionOf(clientID: string): () => Promise<string> {
  let renewal: Promise<string> | undefined; // a refresh token is good for one request
  return async () => {
    const account = stored();
    if (!account) throw new CarnetError("signed_out", "you are signed out");
    if (account.expires - Date.now() > LEFT) return account.token;
    renewal ??= renew(clientID, account).finally(() => (renewal = undefined));
    return renewal;
  };
}

async function renew(clientID: string, { name, refreshToken }: Account): Promise<string> {
  if (!refreshToken) throw new CarnetError("signed_out", "your visit is over");
  const form = { grant_type: "refresh_token", refresh_token: refreshToken, client_id: clientID };
  const account = member(name, await post("/oauth2/token", form));
  store(account);
  return account.token;
}

function member(name: string, answer: Answer): Account {
  return {
    name,
    token: String(answer["access_token"]),
    refreshToken: answer["refresh_token"] as string | undefined,
    expires: Date.now() + Number(answer["expires_in"]) * 1_000,
  };
}

type Answer = Readonly<Record<string, unknown>>;

/** Posts a form. A refusal is a CarnetError in the server's words; no answer is another error. */
async function post(path: string, form: Record<string, string>): Promise<Answer> {
  const response = await fetch(path, { method: "POST", body: new URLSearchParams(form) });
  const answer = await response.json().catch(() => ({})) as Answer;
  if (response.ok) return answer;
  const words = String(answer["error_description"] ?? answer["detail"] ?? `the server answers ${response.status}`);
  if (response.status >= 500 || response.status === 429) throw new Error(words);
  throw new CarnetError("signed_out", words);
}

/** The claims of a token that this page was just given, and so need not check. */
function claims(jwt: string): { iat: number; exp: number } {
  const text = atob((jwt.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
  return JSON.parse(text) as { iat: number; exp: number };
}
