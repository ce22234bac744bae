/** Measures how loud a microphone is, for the bar under the preview. */

/** Calls `heard(level)` about 20 times a second with a level in `0..1` until the returned function is called. */
export function measureLevel(track: MediaStreamTrack, heard: (level: number) => void): () => void {
  const context = new AudioContext();
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    heard(loudness(samples));
  }, 50);
  // A browser may hold the audio clock back until the first click or key.
  const resume = () => void context.resume();
  addEventListener("pointerdown", resume);
  addEventListener("keydown", resume);
  return () => {
    clearInterval(timer);
    removeEventListener("pointerdown", resume);
    removeEventListener("keydown", resume);
    source.disconnect();
    void context.close();
  };
}

/** Loudness of samples in `0..1`: -60 dB and below is 0, full scale is 1. */
export function loudness(samples: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += (samples[i] ?? 0) ** 2;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  if (rms <= 0.001) return 0;
  return Math.min(1, 1 + Math.log10(rms) / 3);
}
