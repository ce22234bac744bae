/** Runs in the page: how long nothing was heard of those it listens to, whatever connection they come over. */
(() => {
  const LOOK_EVERY_MS = 20;

  let except = new Set();
  /** Time in the media of what was last heard, by id of the track. */
  let heard = new Map();
  let lastAt = 0;
  let longestMs = 0;
  let timer = 0;

  function audible() {
    const tracks = new Set();
    for (const element of document.querySelectorAll("audio")) {
      if (element.muted || element.closest("[data-own]")) continue;
      for (const track of element.srcObject?.getAudioTracks() ?? []) tracks.add(track.id);
    }
    return tracks;
  }

  function look() {
    const now = performance.now();
    const listened = audible();
    let came = false;
    for (const receiver of window.__connections.receivers()) {
      const { id, kind } = receiver.track;
      if (kind !== "audio" || except.has(id) || !listened.has(id)) continue;
      const [source] = receiver.getSynchronizationSources();
      if (!source || heard.get(id) === source.rtpTimestamp) continue;
      heard.set(id, source.rtpTimestamp);
      came = true;
    }
    if (!came) return;
    longestMs = Math.max(longestMs, now - lastAt);
    lastAt = now;
  }

  window.__gaps = {
    /** Begins anew; the tracks of `others` do not count. */
    watch(others = []) {
      clearInterval(timer);
      except = new Set(others);
      heard = new Map();
      lastAt = performance.now();
      longestMs = 0;
      timer = setInterval(look, LOOK_EVERY_MS);
    },
    /** How long nothing has been heard by now, in milliseconds. */
    silentMs: () => Math.round(performance.now() - lastAt),
    /** The longest time without anything new, in milliseconds; one that lasts counts. */
    longestMs: () => Math.round(Math.max(longestMs, performance.now() - lastAt)),
  };
})();
