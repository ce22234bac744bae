/** Runs in the page before anything else: remembers every peer connection, so that its statistics can be read. */
(() => {
  const known = [];
  const listeners = [];
  const Native = window.RTCPeerConnection;
  class Watched extends Native {
    constructor(...args) {
      super(...args);
      known.push(this);
      for (const listener of listeners) this.addEventListener("track", ({ transceiver }) => listener(transceiver));
    }
    addTransceiver(...args) {
      const transceiver = super.addTransceiver(...args);
      for (const listener of listeners) listener(transceiver);
      return transceiver;
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

  /** Remote tracks by what the answers say about them: id of the track here, its sid, and whose it is. */
  function remoteTracks() {
    return known
      .filter((each) => each.connectionState !== "closed")
      .flatMap((connection) => {
        const named = new Map();
        for (const section of (connection.remoteDescription?.sdp ?? "").split(/^m=/m).slice(1)) {
          const mid = /^a=mid:(\S+)/m.exec(section)?.[1];
          const [, stream, sid] = /^a=msid:(\S+) (\S+)/m.exec(section) ?? [];
          if (mid && sid) named.set(mid, { sid, owner: stream.split("|")[0] });
        }
        return connection.getTransceivers().flatMap(({ mid, receiver }) => {
          const name = named.get(mid);
          return name ? [{ ...name, track: receiver.track.id, kind: receiver.track.kind }] : [];
        });
      });
  }

  /** Of each connection, both ends of the way its media goes. */
  async function selected() {
    const ways = [];
    for (const connection of known.filter((each) => each.connectionState === "connected")) {
      const report = await connection.getStats();
      const end = (id) => {
        const { address, port, protocol, candidateType, tcpType } = report.get(id);
        return { address, port, protocol, candidateType, tcpType };
      };
      for (const row of report.values()) {
        const pair = row.type === "transport" && report.get(row.selectedCandidatePairId);
        if (!pair) continue;
        const { currentRoundTripTime, availableOutgoingBitrate } = pair;
        ways.push({ local: end(pair.localCandidateId), remote: end(pair.remoteCandidateId), currentRoundTripTime, availableOutgoingBitrate });
      }
    }
    return ways;
  }

  window.__connections = {
    remoteTracks,
    selected,
    /** Calls `listener` with each transceiver as soon as it is there; with some of them again later. */
    onTransceiver: (listener) => listeners.push(listener),
    receivers: () => known.filter((each) => each.connectionState !== "closed").flatMap((each) => each.getReceivers()),
    outbound: () => stats("outbound-rtp"),
    inbound: () => stats("inbound-rtp"),
    local: () => stats("local-candidate"),
    codecs: () => stats("codec"),
    states: () => known.map((each) => each.connectionState),
  };
})();
