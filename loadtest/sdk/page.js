/** A participant made of nothing but the JavaScript SDK as it is published; the test drives it through `window.peer`. */
(() => {
  const { Room, RoomEvent, Track, DataPacket_Kind } = window.LivekitClient;
  const COLUMNS = 8;
  const ROWS = 4;
  const SYNC = 0b10110010;
  const FRAMES_PER_SECOND = 15;
  const ON_S = 0.4;
  const PERIOD_S = 0.6;
  const RAMP_S = 0.01;
  const AMPLITUDE = 0.3;
  /** The tone is scheduled this far ahead: longer than any test. */
  const PERIODS = 2_000;
  const TEXT_TOPIC = "lk.chat";

  const asked = new URLSearchParams(location.search);
  /** With `?codec=vp9` pictures are large and published in that codec, in scalable coding where the SDK does so. */
  const codec = asked.get("codec");
  const [WIDTH, HEIGHT] = codec ? [1280, 720] : [320, 180];

  /** A video track that shows the test picture of a sender. */
  function picture(sender) {
    const canvas = document.createElement("canvas");
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    const context = canvas.getContext("2d");
    let frame = 0;
    const draw = () => {
      const rows = [SYNC, sender, sender ^ 0xff, frame % 256];
      for (let y = 0; y < ROWS; y++) {
        for (let x = 0; x < COLUMNS; x++) {
          context.fillStyle = rows[y] & (0x80 >> x) ? "rgb(220 220 220)" : "rgb(32 32 32)";
          context.fillRect((x * canvas.width) / COLUMNS, (y * canvas.height) / ROWS, canvas.width / COLUMNS, canvas.height / ROWS);
        }
      }
      frame++;
    };
    draw();
    setInterval(draw, 1000 / FRAMES_PER_SECOND);
    return canvas.captureStream(FRAMES_PER_SECOND).getVideoTracks()[0];
  }

  /** An audio track with the tone of a sender, on and off. */
  function sound(sender) {
    const context = new AudioContext({ sampleRate: 48000 });
    const oscillator = new OscillatorNode(context, { frequency: 500 + 150 * sender });
    const gate = new GainNode(context, { gain: 0 });
    const out = context.createMediaStreamDestination();
    oscillator.connect(gate).connect(out);
    const start = context.currentTime + 0.1;
    for (let n = 0; n < PERIODS; n++) {
      const at = start + n * PERIOD_S;
      gate.gain.setValueAtTime(0, at);
      gate.gain.linearRampToValueAtTime(AMPLITUDE, at + RAMP_S);
      gate.gain.setValueAtTime(AMPLITUDE, at + ON_S - RAMP_S);
      gate.gain.linearRampToValueAtTime(0, at + ON_S);
    }
    oscillator.start();
    return out.stream.getAudioTracks()[0];
  }

  /** With `?dual` the SDK speaks version 0 of the protocol: two peer connections. With `?adaptive` it asks for pictures as
      large as they are shown. */
  const room = new Room({
    ...(asked.has("dual") && { singlePeerConnection: false }),
    ...(asked.has("adaptive") && { adaptiveStream: { pixelDensity: 1 } }),
  });
  const facts = [];
  const tell = (fact, details) => facts.push({ fact, ...details });

  room
    .on(RoomEvent.TrackSubscribed, (track, _publication, who) => {
      const element = track.attach();
      element.dataset.name = who.identity;
      document.body.append(element);
      tell("subscribed", { kind: track.kind, sid: track.sid, identity: who.identity, node: who.attributes["causeway.node"] });
    })
    .on(RoomEvent.DataReceived, (payload, who, kind, topic) =>
      tell("data", {
        reliable: kind === DataPacket_Kind.RELIABLE,
        topic,
        text: new TextDecoder().decode(payload),
        identity: who?.identity,
      }),
    )
    .on(RoomEvent.ParticipantConnected, (who) => tell("came", { identity: who.identity }))
    .on(RoomEvent.ParticipantDisconnected, (who) => tell("went", { identity: who.identity }))
    .on(RoomEvent.ActiveSpeakersChanged, (all) => tell("speakers", { identities: all.map((who) => who.identity) }))
    .on(RoomEvent.Reconnecting, () => tell("reconnecting", {}))
    .on(RoomEvent.SignalReconnecting, () => tell("resuming", {}))
    .on(RoomEvent.Reconnected, () => tell("reconnected", {}))
    .on(RoomEvent.LocalTrackSubscribed, (publication) => tell("viewed", { sid: publication.trackSid }))
    .on(RoomEvent.ConnectionQualityChanged, (quality, who) => tell("quality", { quality, identity: who.identity }))
    .on(RoomEvent.Disconnected, (reason) => tell("disconnected", { reason }));
  room.registerTextStreamHandler(TEXT_TOPIC, async (reader, who) => tell("text", { text: await reader.readAll(), identity: who.identity }));

  window.peer = {
    facts: () => facts,
    async join(url, token, sender) {
      await room.connect(url, token);
      await room.localParticipant.publishTrack(picture(sender), {
        source: Track.Source.Camera,
        name: "picture",
        ...(codec && { videoCodec: codec, backupCodec: false }),
      });
      await room.localParticipant.publishTrack(sound(sender), { source: Track.Source.Microphone, name: "sound", dtx: false });
      const { identity, attributes } = room.localParticipant;
      return { identity, attributes: { ...attributes }, version: window.LivekitClient.version };
    },
    async data(texts, reliable, topic) {
      for (const text of texts) await room.localParticipant.publishData(new TextEncoder().encode(text), { reliable, topic });
    },
    /** Asks the server, or the SDK itself, for a fault. */
    simulate: (scenario) => room.simulateScenario(scenario),
    /** Closes the signalling connection as a network does that breaks. */
    loseConnection: () => room.simulateScenario("signal-reconnect"),
    /** Lets everybody receive this participant, or nobody. */
    allow: (everybody) => room.localParticipant.setTrackSubscriptionPermissions(everybody, []),
    /** Shows the pictures of others in this size. */
    show(width, height) {
      for (const element of document.querySelectorAll("video")) Object.assign(element.style, { width: `${width}px`, height: `${height}px` });
    },
    /** As the SDK knows it: it does not say so where it heard of it before it was connected itself. */
    ownQuality: () => room.localParticipant.connectionQuality,
    sid: () => room.localParticipant.sid,
    /** Which of its connections the SDK takes for the main one, and the sections the node has offered. */
    connections: () => ({
      mode: room.engine.pcManager.mode,
      offered: room.engine.pcManager.subscriber?.pc.remoteDescription?.sdp.match(/^m=\w+/gm) ?? [],
    }),
    text: (text, topic) => room.localParticipant.sendText(text, { topic }),
    leave: () => room.disconnect(),
  };
})();
