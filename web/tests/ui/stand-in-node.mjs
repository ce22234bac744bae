/**
 * A node just real enough to meet the media library: HTTP for the page and the join API, signalling by intercepted
 * WebSockets, and a peer connection inside the page as its media side. It can be killed like a process.
 */
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  DataPacket,
  JoinRequest,
  LeaveRequest_Action,
  ParticipantInfo_State,
  SignalRequest,
  SignalResponse,
  TrackSource,
  TrackType,
  WrappedJoinRequest,
  WrappedJoinRequest_Compression,
} from "@livekit/protocol";

export const CSP =
  "default-src 'self'; connect-src * ; media-src 'self' blob:; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2", ".txt": "text/plain" };

/** Somebody else in the meeting, who sends one picture. */
const BEA = { sid: "PA_bea", identity: "bea", name: "Bea", attributes: { "causeway.node": "syd", "causeway.region": "Sydney" } };
const BEAS_TRACK = "TR_bea_camera";

export class StandInNode {
  joins = [];
  cids = [];
  packets = [];
  /** WebSockets opened here, and sessions that began on them. */
  sockets = 0;
  joined = 0;
  /** The other nodes, told to who joins. */
  others = [];
  /** What is being answered right now. */
  work = new Set();
  killed = false;

  constructor(name, region, dist) {
    this.name = name;
    this.region = region;
    this.dist = dist;
    this.server = createServer((request, response) => this.answer(request, response));
  }

  async start() {
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.port = this.server.address().port;
    this.alive = true;
    return this;
  }

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }

  get choice() {
    return { node: this.name, region: this.region, url: `ws://127.0.0.1:${this.port}`, reasons: ["near"] };
  }

  /** Ends the node without a word: its port is closed, its connections are cut, its media stop. */
  async kill() {
    this.alive = false;
    this.killed = true;
    this.socket?.close({ code: 1006 });
    this.close();
    await this.page?.evaluate((name) => globalThis.standIn?.[name]?.close(), this.name);
  }

  /** Ends the node as a power cut does: nobody is told, nothing comes any more. */
  async fallSilent() {
    this.alive = false;
    this.killed = true;
    this.close();
    await this.page.evaluate((name) => globalThis.standIn[name].pc.getSenders().map((sender) => sender.replaceTrack(null)), this.name);
  }

  /** Closes the port. */
  close() {
    this.server.closeAllConnections();
    this.server.close();
  }

  /** Answers nothing more and waits for what is being answered, so that the page can close. Throws what failed there. */
  async settle() {
    this.alive = false;
    await Promise.all(this.work);
  }

  answer(request, response) {
    const cors = { "access-control-allow-origin": "*", "access-control-allow-headers": "content-type" };
    const url = new URL(request.url, this.origin);
    if (request.method === "OPTIONS") return response.writeHead(204, cors).end();
    if (url.pathname === "/api/join") return this.join(request, response, cors, url);
    if (url.pathname === "/healthz") return response.writeHead(200, cors).end("ok");
    const asked = join(this.dist, url.pathname);
    const path = extname(asked) && existsSync(asked) ? asked : join(this.dist, "index.html");
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/html", "content-security-policy": CSP }).end(readFileSync(path));
  }

  join(request, response, cors, url) {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      this.joins.push({ ...JSON.parse(body), query: url.search });
      const grant = { ...this.choice, token: `token-of-${this.name}`, alternatives: [this.choice, ...this.others.map((node) => node.choice)] };
      response.writeHead(200, { ...cors, "content-type": "application/json" }).end(JSON.stringify(grant));
    });
  }

  /** Takes over the WebSockets that a page opens to this node. */
  async serve(page) {
    this.page = page;
    await page.routeWebSocket(new RegExp(`127\\.0\\.0\\.1:${this.port}/rtc`), (socket) => this.during(this.signal(socket)));
  }

  /** Keeps a promise until `settle`; one that fails, unless with a killed node, is kept for good and fails the test there. */
  during(work) {
    const kept = work.catch((error) => {
      if (!this.killed) throw error;
    });
    this.work.add(kept);
    kept.then(
      () => this.work.delete(kept),
      () => {},
    );
  }

  async signal(socket) {
    if (!this.alive) return socket.close({ code: 1006 });
    this.socket = socket;
    this.sockets++;
    const send = (kase, value) => this.alive && socket.send(Buffer.from(new SignalResponse({ message: { case: kase, value } }).toBinary()));
    socket.onMessage((data) => this.alive && this.during(this.request(SignalRequest.fromBinary(data), send)));
    const asked = joinRequest(socket.url());
    // Like a node of ours: no resuming, a new session instead.
    if (asked?.reconnect) return send("leave", { action: LeaveRequest_Action.RECONNECT });
    this.joined++;
    send("join", {
      room: { sid: "RM_1", name: "oak" },
      participant: { sid: `PA_me_${this.name}`, identity: "me", name: "Ann", state: ParticipantInfo_State.ACTIVE, permission: { canPublish: true, canSubscribe: true, canPublishData: true }, attributes: { "causeway.node": this.name, "causeway.region": this.region } },
      otherParticipants: [{ ...BEA, state: ParticipantInfo_State.ACTIVE, tracks: [{ sid: BEAS_TRACK, type: TrackType.VIDEO, source: TrackSource.CAMERA, width: 320, height: 180, stream: "camera" }] }],
      serverInfo: { version: "1.9.0", protocol: 17, region: this.region },
      serverVersion: "1.9.0",
      pingInterval: 5,
      pingTimeout: 15,
      enabledPublishCodecs: [{ mime: "video/VP8" }, { mime: "audio/opus" }],
    });
    if (asked?.publisherOffer) await this.negotiate(asked.publisherOffer, send);
  }

  async request({ message }, send) {
    if (message.case === "pingReq") send("pongResp", { lastPingTimestamp: message.value.timestamp, timestamp: BigInt(Date.now()) });
    if (message.case === "offer") await this.negotiate(message.value, send);
    if (message.case === "addTrack") {
      this.cids.push(message.value.cid);
      const { cid, type, source, muted } = message.value;
      send("trackPublished", { cid, track: { sid: `TR_own_${this.cids.length}`, type, source, muted } });
    }
  }

  async negotiate(offer, send) {
    const { sdp, mid } = await this.page.evaluate(mediaSide, { name: this.name, session: this.joined, sdp: offer.sdp, sid: BEA.sid });
    send("answer", { type: "answer", sdp, id: offer.id, midToTrackId: mid === null ? {} : { [mid]: BEAS_TRACK } });
  }

  /** Sends a data packet to the page, as if from Bea. */
  async send(value) {
    const packet = new DataPacket({ participantIdentity: BEA.identity, participantSid: BEA.sid, value });
    const bytes = [...packet.toBinary()];
    await this.page.evaluate(({ name, bytes }) => globalThis.standIn[name]._reliable.send(Uint8Array.from(bytes)), { name: this.name, bytes });
  }

  /** Data packets that have arrived here, decoded. */
  async received() {
    const raw = await this.page.evaluate((name) => globalThis.standIn[name].packets, this.name);
    return raw.map((bytes) => DataPacket.fromBinary(Uint8Array.from(bytes)));
  }
}

/** The join request inside an address, or null. */
function joinRequest(address) {
  const wrapped = new URL(address).searchParams.get("join_request");
  if (!wrapped) return null;
  const outer = WrappedJoinRequest.fromBinary(Buffer.from(wrapped, "base64url"));
  const inner = outer.compression === WrappedJoinRequest_Compression.GZIP ? gunzipSync(outer.joinRequest) : outer.joinRequest;
  return JoinRequest.fromBinary(inner);
}

/** Runs in the page: answers an offer, and sends one moving picture on the first free video section. */
async function mediaSide({ name, session, sdp, sid }) {
  const nodes = (globalThis.standIn ??= {});
  let node = nodes[name];
  if (node?.session !== session) {
    node?.pc.close();
    const pc = new RTCPeerConnection();
    node = nodes[name] = { session, pc, packets: [], close: () => pc.close() };
    pc.ondatachannel = ({ channel }) => {
      channel.binaryType = "arraybuffer";
      node[channel.label] = channel;
      channel.onmessage = ({ data }) => node.packets.push([...new Uint8Array(data)]);
    };
  }
  const { pc } = node;
  await pc.setRemoteDescription({ type: "offer", sdp });
  const video = pc.getTransceivers().find((one) => one.receiver.track.kind === "video" && (one === node.video || one.currentDirection === null));
  if (!node.video && video) {
    const canvas = document.createElement("canvas");
    canvas.width = 320;
    canvas.height = 180;
    const paint = canvas.getContext("2d");
    setInterval(() => {
      paint.fillStyle = `hsl(${(performance.now() / 10) % 360} 60% 50%)`;
      paint.fillRect(0, 0, 320, 180);
    }, 66);
    node.video = video;
    video.direction = "sendonly";
    const [track] = canvas.captureStream(15).getVideoTracks();
    await video.sender.replaceTrack(track);
    video.sender.setStreams(new MediaStream([track]));
  }
  await pc.setLocalDescription(await pc.createAnswer());
  if (pc.iceGatheringState !== "complete")
    await new Promise((done) => pc.addEventListener("icegatheringstatechange", () => pc.iceGatheringState === "complete" && done()));
  const text = pc.localDescription.sdp.replace(/^a=msid:\S+ /gm, `a=msid:${sid}|camera `);
  return { sdp: text, mid: node.video?.mid ?? null };
}
