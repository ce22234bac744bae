/** Runs in the page before anything else: remembers every peer connection, so that its statistics can be read. */
(() => {
  const known = [];
  const listeners = [];
  const Native = window.RTCPeerConnection;
  class Watched extends Native {
    constructor(...args) {
      super(...args);
      known.push(this);
      for (const listener of listeners) listener(this);
    }
  }
  window.RTCPeerConnection = Watched;

  async function stats(type) {
    const rows = [];
    for (const connection of known.filter((each) => each.connectionState !== "closed")) {
      const report = await connection.getStats();
      for (const row of report.values()) if (row.type === type) rows.push({ ...row });
    }
    return rows;
  }

  window.__connections = {
    onNew: (listener) => listeners.push(listener),
    outbound: () => stats("outbound-rtp"),
    inbound: () => stats("inbound-rtp"),
    states: () => known.map((each) => each.connectionState),
  };
})();
