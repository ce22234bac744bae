/** Runs in the page: watches how much of the sound it receives is made up, often enough to say how long at a time. */
(() => {
  const LOOK_EVERY_MS = 50;
  const SAMPLES_PER_MS = 48;

  /** By id of the received track. */
  let watched = new Map();
  let timer = null;

  const counters = ({ packetsReceived, packetsLost, packetsDiscarded, totalSamplesReceived, concealedSamples, silentConcealedSamples, concealmentEvents, nackCount }) => ({
    packetsReceived,
    packetsLost,
    packetsDiscarded: packetsDiscarded ?? 0,
    totalSamplesReceived,
    concealedSamples,
    silentConcealedSamples,
    concealmentEvents,
    nackCount: nackCount ?? 0,
  });

  async function look() {
    const rows = await window.__connections.inbound();
    for (const row of rows.filter((each) => each.kind === "audio")) {
      const now = counters(row);
      const known = watched.get(row.trackIdentifier);
      if (!known) {
        watched.set(row.trackIdentifier, { first: now, last: now, run: 0, longestMs: 0 });
        continue;
      }
      // What is made up in neighbouring looks counts as one gap, so a gap may be said too long, never too short.
      const madeUp = now.concealedSamples - known.last.concealedSamples;
      known.run = madeUp > 0 ? known.run + madeUp / SAMPLES_PER_MS : 0;
      known.longestMs = Math.max(known.longestMs, known.run);
      known.last = now;
    }
    timer = setTimeout(look, LOOK_EVERY_MS);
  }

  window.__sounds = {
    /** Begins anew. */
    watch() {
      clearTimeout(timer);
      watched = new Map();
      void look();
    },
    /** By track: what counters have grown by, and the longest stretch made up, in milliseconds. */
    watched: () =>
      [...watched].map(([track, { first, last, longestMs }]) => ({
        track,
        longestMs,
        grown: Object.fromEntries(Object.keys(last).map((key) => [key, last[key] - first[key]])),
      })),
  };
})();
