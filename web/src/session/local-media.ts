/**
 * The devices of this computer and the tracks they give. Tracks live here, not in a connection, so that they survive a
 * change of node: the camera is opened once, whatever happens to the network.
 */
import type { Picture, VideoFeed } from "../model/person";
import { type DeviceFault, type DeviceKind, deviceFault } from "../model/permission";

export interface DeviceChoice {
  id: string;
  label: string;
}

export interface Capture {
  /** What the person wants. The track may be missing although it is true: while starting, or after a fault. */
  on: boolean;
  starting: boolean;
  track: MediaStreamTrack | null;
  fault: DeviceFault | null;
}

export interface MediaState {
  mic: Capture;
  camera: Capture;
  screen: Capture;
  /** Sound of a shared screen or tab, where the browser gives it. */
  screenSound: MediaStreamTrack | null;
  mics: DeviceChoice[];
  cameras: DeviceChoice[];
  micId: string;
  cameraId: string;
  noiseSuppression: boolean;
}

const feeds = new WeakMap<MediaStreamTrack, VideoFeed>();

/** Shows a local track in video elements without any connection. */
export function localFeed(track: MediaStreamTrack): VideoFeed {
  const known = feeds.get(track);
  if (known) return known;
  const feed: VideoFeed = {
    attach(element) {
      element.srcObject = new MediaStream([track]);
      // Playing a muted element is refused only while the page is being left.
      element.play().catch(() => {});
    },
    detach(element) {
      element.srcObject = null;
    },
  };
  feeds.set(track, feed);
  return feed;
}

/** One's own pictures as the local devices give them now. */
export function localPictures(state: MediaState): Picture[] {
  const pictures: Picture[] = [];
  if (state.camera.track) pictures.push({ id: state.camera.track.id, source: "camera", paused: false, feed: localFeed(state.camera.track) });
  if (state.screen.track) pictures.push({ id: state.screen.track.id, source: "screen", paused: false, feed: localFeed(state.screen.track) });
  return pictures;
}

const OFF: Capture = { on: false, starting: false, track: null, fault: null };

export class LocalMedia {
  state: MediaState;
  private readonly listeners = new Set<(state: MediaState) => void>();
  private readonly faultListeners = new Set<(device: DeviceKind, fault: DeviceFault) => void>();
  private readonly onDeviceChange = () => void this.followDevices();
  /** Whether a device that failed was on at that moment. */
  private readonly wanted = { mic: false, camera: false };
  private closed = false;

  constructor(choice: { micId: string; camId: string; noiseSuppression: boolean }) {
    this.state = {
      mic: OFF,
      camera: OFF,
      screen: OFF,
      screenSound: null,
      mics: [],
      cameras: [],
      micId: choice.micId,
      cameraId: choice.camId,
      noiseSuppression: choice.noiseSuppression,
    };
    navigator.mediaDevices?.addEventListener("devicechange", this.onDeviceChange);
  }

  /** Calls `listener` now and after every change until the returned function is called. */
  subscribe(listener: (state: MediaState) => void): () => void {
    this.listeners.add(listener);
    listener(this.state);
    return () => this.listeners.delete(listener);
  }

  /** Calls `listener` when a device fails until the returned function is called. */
  onFault(listener: (device: DeviceKind, fault: DeviceFault) => void): () => void {
    this.faultListeners.add(listener);
    return () => this.faultListeners.delete(listener);
  }

  /** Asks for both devices in one question, then for each alone where that failed. */
  async open(): Promise<void> {
    this.change({ mic: { ...OFF, on: true, starting: true }, camera: { ...OFF, on: true, starting: true } });
    try {
      const stream = await this.capture({ audio: this.micConstraints(), video: this.cameraConstraints() });
      this.adopt("mic", stream.getAudioTracks()[0] ?? null);
      this.adopt("camera", stream.getVideoTracks()[0] ?? null);
    } catch {
      await this.startMic(true);
      if (this.state.camera.on) await this.startCamera();
    }
    await this.listDevices();
  }

  /** Switches the microphone on or off. Its track stays open while off, so that it comes back at once. */
  async setMic(on: boolean): Promise<void> {
    if (!on) this.wanted.mic = false;
    if (!on || this.isLive(this.state.mic)) {
      if (this.state.mic.track) this.state.mic.track.enabled = on;
      this.change({ mic: { ...this.state.mic, on, fault: on ? null : this.state.mic.fault } });
      return;
    }
    await this.startMic(true);
    await this.listDevices();
  }

  /** Switches the camera on or off. Off closes the device: its light goes out. */
  async setCamera(on: boolean): Promise<void> {
    if (on) {
      if (this.isLive(this.state.camera)) return;
      await this.startCamera();
      await this.listDevices();
      return;
    }
    this.wanted.camera = false;
    this.state.camera.track?.stop();
    this.change({ camera: { ...OFF, fault: this.state.camera.fault } });
  }

  /** Starts or ends sharing a screen; the browser asks which one. */
  async setScreen(on: boolean): Promise<void> {
    if (!on) {
      this.state.screen.track?.stop();
      this.state.screenSound?.stop();
      this.change({ screen: OFF, screenSound: null });
      return;
    }
    this.change({ screen: { ...OFF, on: true, starting: true } });
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: 15 }, audio: true });
      if (this.closed || !this.state.screen.on) {
        // Called off while the browser was asking.
        for (const unused of stream.getTracks()) unused.stop();
        return;
      }
      const track = stream.getVideoTracks()[0];
      if (!track) throw new DOMException("no picture in the shared screen", "NotFoundError");
      track.contentHint = "detail";
      track.addEventListener("ended", () => void this.setScreen(false));
      this.change({
        screen: { on: true, starting: false, track, fault: null },
        screenSound: stream.getAudioTracks()[0] ?? null,
      });
    } catch (error) {
      // Closing the browser's own picker without a choice is an answer, not a fault.
      const fault = faultOf(error);
      this.change({ screen: { ...OFF, fault: fault === "denied" ? null : fault } });
      if (fault !== "denied") this.report("screen", fault);
    }
  }

  /** Uses another microphone or camera from now on; an empty id is the browser's default. */
  async choose(kind: "mic" | "camera", id: string): Promise<void> {
    this.change(kind === "mic" ? { micId: id } : { cameraId: id });
    if (kind === "mic" && this.state.mic.track) await this.startMic(this.state.mic.on);
    if (kind === "camera" && this.state.camera.track) await this.startCamera();
  }

  async setNoiseSuppression(on: boolean): Promise<void> {
    if (on === this.state.noiseSuppression) return;
    this.change({ noiseSuppression: on });
    if (this.state.mic.track) await this.startMic(this.state.mic.on);
  }

  /** Stops every track and listens to devices no more. */
  close(): void {
    this.closed = true;
    navigator.mediaDevices?.removeEventListener("devicechange", this.onDeviceChange);
    for (const track of [this.state.mic.track, this.state.camera.track, this.state.screen.track, this.state.screenSound]) {
      track?.stop();
    }
    this.change({ mic: OFF, camera: OFF, screen: OFF, screenSound: null });
    this.listeners.clear();
    this.faultListeners.clear();
  }

  private async startMic(on: boolean): Promise<void> {
    this.change({ mic: { ...this.state.mic, on, starting: true } });
    try {
      const stream = await this.capture({ audio: this.micConstraints() });
      this.adopt("mic", stream.getAudioTracks()[0] ?? null);
    } catch (error) {
      this.fail("mic", faultOf(error));
    }
  }

  private async startCamera(): Promise<void> {
    this.change({ camera: { ...this.state.camera, on: true, starting: true } });
    try {
      const stream = await this.capture({ video: this.cameraConstraints() });
      this.adopt("camera", stream.getVideoTracks()[0] ?? null);
    } catch (error) {
      this.fail("camera", faultOf(error));
    }
  }

  private capture(constraints: MediaStreamConstraints): Promise<MediaStream> {
    // Without a secure context the browser has no `mediaDevices` at all.
    if (!navigator.mediaDevices?.getUserMedia) return Promise.reject(new DOMException("insecure", "SecurityError"));
    return navigator.mediaDevices.getUserMedia(constraints);
  }

  private adopt(kind: "mic" | "camera", track: MediaStreamTrack | null): void {
    if (this.closed) {
      track?.stop();
      return;
    }
    if (!track) {
      this.fail(kind, "missing");
      return;
    }
    if (kind === "camera" && !this.state.camera.on) {
      // Switched off while the device was opening.
      track.stop();
      return;
    }
    const before = this.state[kind].track;
    if (before && before !== track) before.stop();
    track.addEventListener("ended", () => this.lost(kind, track));
    const on = this.state[kind].on;
    track.enabled = on;
    this.change({ [kind]: { on, starting: false, track, fault: null } });
  }

  private fail(kind: "mic" | "camera", fault: DeviceFault): void {
    this.wanted[kind] = this.state[kind].on;
    this.state[kind].track?.stop();
    this.change({ [kind]: { on: false, starting: false, track: null, fault } });
    this.report(kind, fault);
  }

  /** A device went away by itself: fall back to the browser's default one, once. */
  private lost(kind: "mic" | "camera", track: MediaStreamTrack): void {
    if (this.state[kind].track !== track) return;
    this.change({ [kind]: { ...this.state[kind], track: null } });
    const chosen = kind === "mic" ? this.state.micId : this.state.cameraId;
    if (chosen === "") {
      this.fail(kind, "unplugged");
      return;
    }
    this.change(kind === "mic" ? { micId: "" } : { cameraId: "" });
    void (kind === "mic" ? this.startMic(this.state.mic.on) : this.startCamera());
  }

  /** Devices were plugged in or out: one that was missing is used as soon as it is there, as it was meant to be. */
  private async followDevices(): Promise<void> {
    await this.listDevices();
    const gone = (fault: DeviceFault | null) => fault === "missing" || fault === "unplugged";
    if (gone(this.state.mic.fault) && this.state.mics.length > 0) await this.startMic(this.wanted.mic);
    if (gone(this.state.camera.fault) && this.state.cameras.length > 0 && this.wanted.camera) await this.startCamera();
    await this.listDevices();
  }

  private async listDevices(): Promise<void> {
    const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    const of = (kind: MediaDeviceKind) =>
      all.filter((d) => d.kind === kind && d.deviceId !== "").map((d) => ({ id: d.deviceId, label: d.label }));
    this.change({ mics: of("audioinput"), cameras: of("videoinput") });
  }

  private micConstraints(): MediaTrackConstraints {
    const processed = this.state.noiseSuppression;
    return {
      ...(this.state.micId ? { deviceId: { ideal: this.state.micId } } : {}),
      echoCancellation: processed,
      noiseSuppression: processed,
      autoGainControl: processed,
    };
  }

  private cameraConstraints(): MediaTrackConstraints {
    return {
      ...(this.state.cameraId ? { deviceId: { ideal: this.state.cameraId } } : {}),
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 30 },
    };
  }

  private isLive(capture: Capture): boolean {
    return capture.track?.readyState === "live";
  }

  private report(device: DeviceKind, fault: DeviceFault): void {
    for (const listener of [...this.faultListeners]) listener(device, fault);
  }

  private change(part: Partial<MediaState>): void {
    this.state = { ...this.state, ...part };
    for (const listener of [...this.listeners]) listener(this.state);
  }
}

function faultOf(error: unknown): DeviceFault {
  return deviceFault(error instanceof Error || error instanceof DOMException ? error.name : "");
}
