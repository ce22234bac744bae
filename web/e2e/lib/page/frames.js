/**
 * Runs in the page, after connections.js: takes slices out of the encoded frames that arrive, which is what the
 * payload of the packets would look like to somebody who can read them. The frames themselves pass unchanged.
 */
(() => {
  const PER_KIND = 24;
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
          if (taken < ${PER_KIND} && byteLength >= ${SHORTEST} && byteLength <= ${LONGEST}) {
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
  window.__connections.onNew((connection) =>
    connection.addEventListener("track", ({ receiver, track }) => {
      if (!worker) {
        worker = new Worker(URL.createObjectURL(new Blob([work], { type: "text/javascript" })));
        worker.onmessage = ({ data }) => slices.push(data);
      }
      if (!receiver.transform) receiver.transform = new RTCRtpScriptTransform(worker, { kind: track.kind });
    }),
  );
  window.__frames = { slices: () => slices };
})();
