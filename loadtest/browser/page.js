/**
 * Runs in the page, before the SDK: reads the stamp at the end of every encoded frame that arrives. The frames themselves
 * pass unchanged and are decoded as ever.
 */
(() => {
  /** As in loadtest/src/trace/stamp.rs: four bytes of magic, then 7 bits a byte. */
  const work = `
    const LEN = 26;
    const MAGIC = [0xca, 0xc5, 0xe3, 0xa7];
    const MOST_DELAYS = 30000;
    let legs = new Map();
    const group = (bytes, from, count) => {
      let value = 0;
      for (let at = from; at < from + count; at++) value = value * 128 + (bytes[at] & 0x7f);
      return value;
    };
    /** Nanoseconds since 1970 need more bits than a number has: thousands of them are enough. */
    const microseconds = (bytes, from, count) => {
      let value = 0n;
      for (let at = from; at < from + count; at++) value = (value << 7n) | BigInt(bytes[at] & 0x7f);
      return Number(value / 1000n);
    };
    function look(frame) {
      const { byteLength } = frame.data;
      if (byteLength < LEN) return;
      const bytes = new Uint8Array(frame.data, byteLength - LEN, LEN);
      if (MAGIC.some((byte, at) => bytes[at] !== byte)) return;
      const now_us = (performance.timeOrigin + performance.now()) * 1000;
      const sender = group(bytes, 4, 5);
      const source = group(bytes, 9, 1);
      const key = sender + "/" + source;
      let leg = legs.get(key);
      const sequence = group(bytes, 11, 5);
      if (!leg) legs.set(key, (leg = { sender, source, frames: 0, layers: [0, 0, 0, 0], first: sequence, last: sequence, delays_us: [] }));
      leg.frames++;
      leg.last = Math.max(leg.last, sequence);
      leg.layers[Math.min(3, group(bytes, 10, 1))]++;
      if (leg.delays_us.length < MOST_DELAYS) leg.delays_us.push(Math.round(now_us - microseconds(bytes, 16, 10)));
    }
    onrtctransform = ({ transformer }) => {
      const reading = new TransformStream({
        transform(frame, out) {
          look(frame);
          out.enqueue(frame);
        },
      });
      transformer.readable.pipeThrough(reading).pipeTo(transformer.writable);
    };
    onmessage = ({ data }) => {
      if (data === "restart") legs = new Map();
      else postMessage([...legs.values()]);
    };`;
  const worker = new Worker(URL.createObjectURL(new Blob([work], { type: "text/javascript" })));

  const connections = [];
  const tap = (receiver) => {
    if (!receiver.transform) receiver.transform = new RTCRtpScriptTransform(worker, {});
  };
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...settings) {
      super(...settings);
      connections.push(this);
      this.addEventListener("track", ({ receiver }) => tap(receiver));
    }
    // At once: a receiver that had no transform when it was made never gives one its frames.
    addTransceiver(...settings) {
      const transceiver = super.addTransceiver(...settings);
      tap(transceiver.receiver);
      return transceiver;
    }
  };

  let base = { received: 0, lost: 0 };

  async function counts() {
    const sum = { received: 0, lost: 0 };
    for (const connection of connections) {
      for (const each of (await connection.getStats()).values()) {
        if (each.type !== "inbound-rtp") continue;
        sum.received += each.packetsReceived ?? 0;
        sum.lost += each.packetsLost ?? 0;
      }
    }
    return sum;
  }

  window.loadtest = {
    /** Enters a room and looks at every picture in the given size; milliseconds until media can flow. */
    async join({ url, token, width, height }) {
      const { Room, RoomEvent, Track } = window.LivekitClient;
      const began = performance.now();
      const room = new Room({ adaptiveStream: false, dynacast: false });
      room.on(RoomEvent.TrackSubscribed, (track, publication) => {
        const element = track.attach();
        document.body.append(element);
        if (publication.source === Track.Source.Camera) publication.setVideoDimensions({ width, height });
      });
      await room.connect(url, token);
      return performance.now() - began;
    },
    async restart() {
      worker.postMessage("restart");
      base = await counts();
    },
    async results() {
      const legs = await new Promise((resolve) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.postMessage("results");
      });
      const now = await counts();
      return { legs, received: now.received - base.received, lost: now.lost - base.lost };
    },
  };
})();
