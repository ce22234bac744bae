/** Keeps what is published on a connection equal to the local media, by as few changes as possible. */
import {
  AudioPresets,
  LocalAudioTrack,
  type LocalTrack,
  LocalVideoTrack,
  type Room,
  Track,
  type TrackPublishOptions,
} from "livekit-client";
import type { LocalMedia, MediaState } from "../local-media";

type Slot = "mic" | "camera" | "screen" | "screenSound";

export class Publisher {
  private readonly published = new Map<Slot, LocalTrack>();
  private running: Promise<void> | null = null;
  private again = false;

  constructor(private readonly room: Room) {}

  /**
   * Publishes, replaces, mutes and withdraws until the connection matches the media as they are by then. Calls during
   * a run make it run once more, so a burst of changes costs two runs.
   */
  match(media: LocalMedia): Promise<void> {
    this.again = true;
    this.running ??= this.run(media).finally(() => (this.running = null));
    return this.running;
  }

  private async run(media: LocalMedia): Promise<void> {
    while (this.again) {
      this.again = false;
      try {
        await this.reconcile(media.state);
      } catch (error) {
        // The next change or the next connection publishes again; the person sees the state of the connection meanwhile.
        console.warn("publishing failed", error);
      }
    }
  }

  private async reconcile(state: MediaState): Promise<void> {
    if (this.room.state === "disconnected") return;
    const quiet = state.noiseSuppression;
    await this.settle("mic", state.mic.track, state.mic.on, {
      source: Track.Source.Microphone,
      dtx: quiet,
      audioPreset: quiet ? AudioPresets.speech : AudioPresets.musicHighQuality,
    });
    await this.settle("camera", state.camera.track, state.camera.on, { source: Track.Source.Camera });
    await this.settle("screen", state.screen.track, state.screen.on, { source: Track.Source.ScreenShare });
    await this.settle("screenSound", state.screenSound, true, {
      source: Track.Source.ScreenShareAudio,
      dtx: false,
      audioPreset: AudioPresets.musicHighQuality,
    });
  }

  private async settle(slot: Slot, media: MediaStreamTrack | null, on: boolean, options: TrackPublishOptions): Promise<void> {
    const current = this.published.get(slot);
    const live = media?.readyState === "live" ? media : null;
    if (!current) {
      if (live) await this.announce(slot, live, on, options);
      return;
    }
    if (!live) {
      await this.withdraw(slot, current);
      return;
    }
    if (current.mediaStreamTrack !== live) await current.replaceTrack(live, { userProvidedTrack: true });
    if (on && current.isMuted) await current.unmute();
    if (!on && !current.isMuted) await current.mute();
  }

  private async announce(slot: Slot, media: MediaStreamTrack, on: boolean, options: TrackPublishOptions): Promise<void> {
    const track =
      media.kind === "audio" ? new LocalAudioTrack(media, undefined, true) : new LocalVideoTrack(media, undefined, true);
    track.source = options.source ?? Track.Source.Unknown;
    if (!on) await track.mute();
    this.published.set(slot, track);
    try {
      await this.room.localParticipant.publishTrack(track, options);
    } catch (error) {
      this.published.delete(slot);
      throw error;
    }
  }

  /** A camera or microphone that is off keeps its place in the connection, muted; a shared screen goes for good. */
  private async withdraw(slot: Slot, track: LocalTrack): Promise<void> {
    if (slot === "mic" || slot === "camera") {
      if (!track.isMuted) await track.mute();
      return;
    }
    this.published.delete(slot);
    await this.room.localParticipant.unpublishTrack(track, false);
  }
}
