/**
 * Runs in the page: reads senders and frame numbers out of the pictures of all videos of other people.
 * What the grid means is written at `loadtest signal`; this is its second, independent reader.
 */
(() => {
  const COLUMNS = 8;
  const ROWS = 4;
  const SYNC = [1, 0, 1, 1, 0, 0, 1, 0];
  /** Pixels of a block after scaling down; the outer quarter on each side is not looked at. */
  const BLOCK = 8;
  const EDGE = 2;
  const LEAST_CONTRAST = 60;
  const SAMPLE_EVERY_MS = 40;
  const NUMBERS_KEPT = 24;
  const TIMES_KEPT = 8192;

  const canvas = document.createElement("canvas");
  canvas.width = COLUMNS * BLOCK;
  canvas.height = ROWS * BLOCK;
  const context = canvas.getContext("2d", { willReadFrequently: true });

  function brightness(pixels, column, row) {
    let sum = 0;
    let count = 0;
    for (let y = row * BLOCK + EDGE; y < (row + 1) * BLOCK - EDGE; y++) {
      for (let x = column * BLOCK + EDGE; x < (column + 1) * BLOCK - EDGE; x++) {
        const at = (y * canvas.width + x) * 4;
        sum += 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
        count++;
      }
    }
    return sum / count;
  }

  /** `{ id, frame }` of the picture a video shows now, or null when it shows none that is whole. */
  function read(video) {
    if (video.readyState < 2 || video.videoWidth === 0) return null;
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const grid = Array.from({ length: ROWS }, (_, row) =>
      Array.from({ length: COLUMNS }, (_, column) => brightness(data, column, row)),
    );
    const dark = Math.min(...grid[0]);
    const light = Math.max(...grid[0]);
    if (light - dark < LEAST_CONTRAST) return null;
    const rows = grid.map((row) => row.map((value) => (value > (dark + light) / 2 ? 1 : 0)));
    if (rows[0].some((bit, at) => bit !== SYNC[at])) return null;
    if (rows[1].some((bit, at) => bit === rows[2][at])) return null;
    const number = (bits) => bits.reduce((value, bit) => value * 2 + bit, 0);
    return { id: number(rows[1]), frame: number(rows[3]) };
  }

  const ownTile = "[data-self=true], [data-own]";
  const remoteVideos = () => [...document.querySelectorAll("video")].filter((each) => !each.closest(ownTile));

  let senders = new Map();
  let sampled = { count: 0, lastAt: 0, longestPauseMs: 0, sinceAt: Date.now() };

  function note(mark, video, now) {
    let sender = senders.get(mark.id);
    if (!sender) {
      sender = { id: mark.id, changes: 0, frames: [], times: [], skipped: 0, backward: 0, lastAt: now, longestGapMs: 0 };
      senders.set(mark.id, sender);
    }
    sender.name = video.closest("[data-name]")?.dataset.name ?? null;
    sender.track = video.srcObject?.getVideoTracks?.()[0]?.id ?? null;
    const before = sender.frames.at(-1);
    if (before === mark.frame) return;
    if (before !== undefined) {
      sender.longestGapMs = Math.max(sender.longestGapMs, now - Math.max(sender.lastAt, sampled.sinceAt));
      // Frames may be skipped by the sender or on the way; a step of half the circle or more is a step back.
      const step = (mark.frame - before + 256) % 256;
      if (step >= 128) sender.backward++;
      else sender.skipped += step - 1;
    }
    sender.changes++;
    sender.frames.push(mark.frame);
    if (sender.frames.length > NUMBERS_KEPT) sender.frames.shift();
    if (sender.times.length < TIMES_KEPT) sender.times.push(now);
    sender.lastAt = now;
  }

  function sample() {
    const now = Date.now();
    if (sampled.lastAt) sampled.longestPauseMs = Math.max(sampled.longestPauseMs, now - sampled.lastAt);
    sampled.lastAt = now;
    sampled.count++;
    for (const video of remoteVideos()) {
      const mark = read(video);
      if (mark) note(mark, video, now);
    }
  }

  setInterval(sample, SAMPLE_EVERY_MS);

  window.__pictures = {
    /** What was seen since the last `forget` or `measureGaps`; gaps that have not ended yet count. */
    seen() {
      const now = Date.now();
      const open = (sender) => now - Math.max(sender.lastAt, sampled.sinceAt);
      return {
        sampled: { ...sampled },
        senders: [...senders.values()].map((each) => ({ ...each, longestGapMs: Math.max(each.longestGapMs, open(each)) })),
      };
    },
    /** Starts over, as if nobody had been seen. */
    forget() {
      senders = new Map();
      sampled = { count: 0, lastAt: 0, longestPauseMs: 0, sinceAt: Date.now() };
    },
    /** Measures gaps from now on; who was seen stays known. */
    measureGaps() {
      sampled = { count: 0, lastAt: 0, longestPauseMs: 0, sinceAt: Date.now() };
      for (const sender of senders.values()) {
        Object.assign(sender, { longestGapMs: 0, changes: 0, skipped: 0, backward: 0, times: [] });
      }
    },
  };
})();
