/** Tokens as an operator's own service makes them. */
import { createHmac } from "node:crypto";

/** A token of API key `key` for person `id` in `room`, valid for an hour. */
export function accessToken({ key, secret }, room, id) {
  const base64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const grants = { iss: key, sub: `person-${id}`, nbf: now - 10, exp: now + 3_600, video: { room, roomJoin: true } };
  const signed = `${base64({ alg: "HS256", typ: "JWT" })}.${base64(grants)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
