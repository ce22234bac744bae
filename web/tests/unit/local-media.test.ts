import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { DeviceFault, DeviceKind } from "../../src/model/permission";
import { LocalMedia } from "../../src/session/local-media";

/** A track that can be stopped by us and ended by the world. */
class Track extends EventTarget {
  enabled = true;
  readyState = "live";
  contentHint = "";
  constructor(
    readonly kind: "audio" | "video",
    readonly device: string,
  ) {
    super();
  }
  stop(): void {
    this.readyState = "ended";
  }
  unplug(): void {
    this.readyState = "ended";
    this.dispatchEvent(new Event("ended"));
  }
}

type Wish = { deviceId?: { ideal: string } } | undefined;

/** The devices of a computer, and what its browser allows. */
class Computer extends EventTarget {
  mics = ["mic-1", "mic-2"];
  cameras = ["cam-1"];
  refuse: string | null = null;
  readonly opened: Track[] = [];
  readonly asked: { audio?: Record<string, unknown>; video?: Record<string, unknown> }[] = [];
  hold: Promise<void> = Promise.resolve();

  getUserMedia = async (constraints: { audio?: Wish; video?: Wish }) => {
    this.asked.push(constraints as never);
    await this.hold;
    if (this.refuse) throw new DOMException("", this.refuse);
    const tracks: Track[] = [];
    for (const [kind, wish, devices] of [["audio", constraints.audio, this.mics], ["video", constraints.video, this.cameras]] as const) {
      if (!wish) continue;
      const device = devices.find((name) => name === wish.deviceId?.ideal) ?? devices[0];
      if (!device) throw new DOMException("", "NotFoundError");
      tracks.push(new Track(kind, device));
    }
    this.opened.push(...tracks);
    return streamOf(tracks);
  };
  getDisplayMedia = async () => {
    await this.hold;
    const tracks = [new Track("video", "screen")];
    this.opened.push(...tracks);
    return streamOf(tracks);
  };
  enumerateDevices = async () => [
    ...this.mics.map((deviceId) => ({ kind: "audioinput", deviceId, label: deviceId })),
    ...this.cameras.map((deviceId) => ({ kind: "videoinput", deviceId, label: deviceId })),
  ];
  live(): string[] {
    return this.opened.filter((track) => track.readyState === "live").map((track) => track.device);
  }
}

function streamOf(tracks: Track[]) {
  return {
    getTracks: () => tracks,
    getAudioTracks: () => tracks.filter((track) => track.kind === "audio"),
    getVideoTracks: () => tracks.filter((track) => track.kind === "video"),
  };
}

let computer: Computer;
let faults: [DeviceKind, DeviceFault][];

function media(choice = { micId: "", camId: "", noiseSuppression: true }): LocalMedia {
  const made = new LocalMedia(choice);
  made.onFault((device, fault) => faults.push([device, fault]));
  return made;
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
const trackOf = (made: LocalMedia, kind: "mic" | "camera") => made.state[kind].track as unknown as Track;

beforeEach(() => {
  computer = new Computer();
  faults = [];
  vi.stubGlobal("navigator", { mediaDevices: computer });
});
afterEach(() => vi.unstubAllGlobals());

describe("opening devices", () => {
  it("asks once for both and uses the remembered ones", async () => {
    const made = media({ micId: "mic-2", camId: "", noiseSuppression: false });
    await made.open();
    expect(computer.asked).toHaveLength(1);
    expect(computer.asked[0]?.audio).toMatchObject({ echoCancellation: false, noiseSuppression: false, autoGainControl: false });
    expect(computer.live()).toEqual(["mic-2", "cam-1"]);
    expect(made.state.mics.map((mic) => mic.id)).toEqual(["mic-1", "mic-2"]);
  });

  it("takes the microphone alone where there is no camera", async () => {
    computer.cameras = [];
    const made = media();
    await made.open();
    expect(made.state.mic.on).toBe(true);
    expect(made.state.camera).toMatchObject({ on: false, track: null, fault: "missing" });
    expect(faults).toEqual([["camera", "missing"]]);
  });

  it("names a refusal, and a page without a secure address", async () => {
    computer.refuse = "NotAllowedError";
    const made = media();
    await made.open();
    expect([made.state.mic.fault, made.state.camera.fault]).toEqual(["denied", "denied"]);
    vi.stubGlobal("navigator", {});
    const insecure = media();
    await insecure.open();
    expect(insecure.state.mic.fault).toBe("insecure");
  });
});

describe("switching", () => {
  it("keeps the microphone open while it is off, and closes the camera", async () => {
    const made = media();
    await made.open();
    const mic = trackOf(made, "mic");
    await made.setMic(false);
    await made.setCamera(false);
    expect([mic.enabled, mic.readyState]).toEqual([false, "live"]);
    expect(computer.live()).toEqual(["mic-1"]);
    await made.setMic(true);
    expect([trackOf(made, "mic") === mic, mic.enabled]).toEqual([true, true]);
  });

  it("leaves the camera dark when it is switched off while it opens", async () => {
    let release = () => {};
    computer.hold = new Promise((resolve) => (release = resolve));
    const made = media();
    const opening = made.open();
    await made.setCamera(false);
    await made.setMic(false);
    release();
    await opening;
    expect(computer.live()).toEqual(["mic-1"]);
    expect(made.state.camera.on).toBe(false);
    expect(trackOf(made, "mic").enabled).toBe(false);
  });

  it("changes the microphone without unmuting it", async () => {
    const made = media();
    await made.open();
    await made.setMic(false);
    await made.choose("mic", "mic-2");
    expect(trackOf(made, "mic")).toMatchObject({ device: "mic-2", enabled: false });
    expect(computer.live()).toEqual(["cam-1", "mic-2"]);
  });

  it("does not share a screen that was called off while the browser asked", async () => {
    let release = () => {};
    computer.hold = new Promise((resolve) => (release = resolve));
    const made = media();
    const sharing = made.setScreen(true);
    await made.setScreen(false);
    release();
    await sharing;
    expect(made.state.screen.on).toBe(false);
    expect(computer.live()).toEqual([]);
  });
});

describe("plugging", () => {
  it("falls back to the default when the chosen microphone goes", async () => {
    const made = media({ micId: "mic-2", camId: "", noiseSuppression: true });
    await made.open();
    computer.mics = ["mic-1"];
    trackOf(made, "mic").unplug();
    await settle();
    expect(trackOf(made, "mic")).toMatchObject({ device: "mic-1", enabled: true });
    expect(faults).toEqual([]);
  });

  it("uses a missing device as soon as it is there, as it was meant to be", async () => {
    computer.mics = [];
    computer.cameras = [];
    const made = media();
    await made.open();
    await made.setCamera(false);
    computer.mics = ["mic-3"];
    computer.cameras = ["cam-3"];
    computer.dispatchEvent(new Event("devicechange"));
    await settle();
    expect(made.state.mic).toMatchObject({ on: true, fault: null });
    expect(computer.live(), "the camera was given up meanwhile").toEqual(["mic-3"]);
  });

  it("says that the last device is gone", async () => {
    const made = media();
    await made.open();
    trackOf(made, "camera").unplug();
    expect(made.state.camera).toMatchObject({ on: false, fault: "unplugged" });
    expect(faults).toEqual([["camera", "unplugged"]]);
  });
});

describe("closing", () => {
  it("stops everything, also what opens later", async () => {
    let release = () => {};
    const made = media();
    await made.open();
    computer.hold = new Promise((resolve) => (release = resolve));
    const late = made.choose("mic", "mic-2");
    made.close();
    release();
    await late;
    expect(computer.live()).toEqual([]);
  });
});
