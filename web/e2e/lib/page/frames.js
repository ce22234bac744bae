/**
 * Runs in the page, after connections.js: takes slices out of the encoded frames that arrive, which is what the
 * payload of the packets would look like to somebody who can read them. The frames themselves pass unchanged.
 */
(() => {
  const PER_STREAM = 8;
  const SLICE = 24;
  /** Between this and this a frame fits in one packet, so that the slice is not cut in two by packetisation. */
  const SHORTEST = 72;
  const LONGEST = 1_000;

  const work = `
    onrtctransform = ({ transformer }) => {
      const { kind } = transformer.options;
      let taken = 0;
      const look = new TransformStream({
        transform(frame, out) {
          const { byteLength } = frame.data;
          if (taken < ${PER_STREAM} && byteLength >= ${SHORTEST} && byteLength <= ${LONGEST}) {
            const middle = byteLength >> 1;
            const slice = [...new Uint8Array(frame.data, middle, ${SLICE})];
            if (new Set(slice).size > ${SLICE} / 2) {
              taken++;
              postMessage({ kind, slice });
            }
          }
          out.enqueue(frame);
        },
      });
      transformer.readable.pipeThrough(look).pipeTo(transformer.writable);
    };`;

  const slices = [];
  let worker = null;
  function tap({ receiver }) {
    if (receiver.transform) return;
    if (!worker) {
      worker = new Worker(URL.createObjectURL(new Blob([work], { type: "text/javascript" })));
      worker.onmessage = ({ data }) => slices.push(data);
    }
    receiver.transform = new RTCRtpScriptTransform(worker, { kind: receiver.track.kind });
  }

  // At once: a receiver that had no transform when it was made never gives one its frames.
  window.__connections.onTransceiver(tap);
  window.__frames = { slices: () => slices };
})();
