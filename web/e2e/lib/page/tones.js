/** Runs in the page: listens to the sound of other people and says whose tone is in it. */
(() => {
  const SENDERS = 16;
  const FIRST_HZ = 500;
  const STEP_HZ = 150;
  const WINDOW = 4096;
  const LISTEN_EVERY_MS = 170;
  /** Quieter than this is the pause of the tone. The tone's own amplitude is 0.3. */
  const LEAST_AMPLITUDE = 0.02;
  /** The strongest tone must stand out from all others by this much. */
  const LEAST_LEAD_DB = 12;

  let context = null;
  const ears = new WeakMap();
  const samples = new Float32Array(WINDOW);
  let heard = new Map();
  let listened = { instants: 0, loudestMixed: null };

  const hann = Float32Array.from({ length: WINDOW }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / WINDOW));

  /** Amplitude of one frequency in `samples`, by Goertzel's recurrence. */
  function amplitude(hz) {
    const coefficient = 2 * Math.cos((2 * Math.PI * hz) / context.sampleRate);
    let last = 0;
    let beforeLast = 0;
    for (let n = 0; n < WINDOW; n++) {
      const now = samples[n] * hann[n] + coefficient * last - beforeLast;
      beforeLast = last;
      last = now;
    }
    const power = last * last + beforeLast * beforeLast - coefficient * last * beforeLast;
    // Half the window's area: what a tone of amplitude 1 sums up to under this window.
    return Math.sqrt(Math.max(0, power)) / (WINDOW / 4);
  }

  function ear(element) {
    const stream = element.srcObject;
    if (!(stream instanceof MediaStream) || stream.getAudioTracks().length === 0) return null;
    let analyser = ears.get(stream);
    if (!analyser) {
      analyser = context.createAnalyser();
      analyser.fftSize = WINDOW;
      context.createMediaStreamSource(stream).connect(analyser);
      ears.set(stream, analyser);
    }
    return analyser;
  }

  function listenTo(analyser) {
    analyser.getFloatTimeDomainData(samples);
    const tones = Array.from({ length: SENDERS }, (_, id) => ({ id, level: amplitude(FIRST_HZ + STEP_HZ * id) }));
    const [first, second] = tones.sort((a, b) => b.level - a.level);
    if (first.level < LEAST_AMPLITUDE) return;
    listened.instants++;
    const leadDb = 20 * Math.log10(first.level / Math.max(second.level, 1e-6));
    if (leadDb < LEAST_LEAD_DB) {
      listened.loudestMixed = { ids: [first.id, second.id], leadDb };
      return;
    }
    const one = heard.get(first.id) ?? { id: first.id, times: 0, bestLeadDb: 0, level: 0 };
    one.times++;
    one.bestLeadDb = Math.max(one.bestLeadDb, leadDb);
    one.level = Math.max(one.level, first.level);
    heard.set(first.id, one);
  }

  function listen() {
    context ??= new AudioContext({ sampleRate: 48000 });
    for (const element of document.querySelectorAll("audio")) {
      if (element.closest("[data-own]")) continue;
      const analyser = ear(element);
      if (analyser) listenTo(analyser);
    }
  }

  let timer = 0;
  window.__tones = {
    start() {
      if (!timer) timer = setInterval(listen, LISTEN_EVERY_MS);
    },
    stop() {
      clearInterval(timer);
      timer = 0;
    },
    heard: () => ({ state: context?.state ?? "none", listened, senders: [...heard.values()] }),
    forget() {
      heard = new Map();
      listened = { instants: 0, loudestMixed: null };
    },
  };
})();
