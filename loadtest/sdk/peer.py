"""A participant made of nothing but the Python SDK: publishes the test signal, says what it receives, obeys commands.

    python peer.py --url ws://... --token ... --sender 7

Facts go to standard output and commands come from standard input, each as one line of JSON.
Commands: {"do": "data", "reliable": bool, "topic": str, "texts": [str]}, {"do": "text", "topic": str, "text": str},
{"do": "leave"}.
"""

import argparse
import asyncio
import json
import sys

import numpy
from livekit import rtc

import grid_and_tone as signal

WIDTH, HEIGHT = 320, 180
FRAMES_PER_SECOND = 15
AUDIO_FRAME_SAMPLES = signal.SAMPLE_RATE // 100
LISTEN_SAMPLES = 4096
TEXT_TOPIC = "lk.chat"


def tell(fact: str, **details) -> None:
    print(json.dumps({"fact": fact, **details}), flush=True)


class Peer:
    def __init__(self, sender: int) -> None:
        self.sender = sender
        self.room = rtc.Room()
        self.tasks: set[asyncio.Task] = set()

    def spawn(self, work) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.ended)

    def ended(self, task: asyncio.Task) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            tell("fault", error=repr(task.exception()))

    async def join(self, url: str, token: str) -> None:
        self.room.on("track_subscribed", self.on_track)
        self.room.on("data_received", self.on_data)
        self.room.on("participant_connected", lambda who: tell("came", identity=who.identity, name=who.name))
        self.room.on("participant_disconnected", lambda who: tell("went", identity=who.identity, name=who.name))
        self.room.on("disconnected", lambda reason: tell("disconnected", reason=str(reason)))
        self.room.on("reconnecting", lambda: tell("reconnecting"))
        self.room.on("reconnected", lambda: tell("reconnected", sid=self.room.local_participant.sid))
        self.room.register_text_stream_handler(TEXT_TOPIC, lambda reader, who: self.spawn(self.read_text(reader, who)))
        await self.room.connect(url, token)
        me = self.room.local_participant
        tell("joined", identity=me.identity, sid=me.sid, attributes=dict(me.attributes))

    async def publish(self) -> None:
        picture = rtc.VideoSource(WIDTH, HEIGHT)
        sound = rtc.AudioSource(signal.SAMPLE_RATE, 1)
        camera = rtc.LocalVideoTrack.create_video_track("picture", picture)
        microphone = rtc.LocalAudioTrack.create_audio_track("sound", sound)
        as_camera = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, video_codec=rtc.VideoCodec.VP8)
        as_microphone = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        self.spawn(self.draw(picture))
        self.spawn(self.sing(sound))
        video = await self.room.local_participant.publish_track(camera, as_camera)
        audio = await self.room.local_participant.publish_track(microphone, as_microphone)
        tell("published", video=video.sid, audio=audio.sid)

    async def draw(self, source: rtc.VideoSource) -> None:
        clock = asyncio.get_running_loop()
        start, frame = clock.time(), 0
        while True:
            data = signal.draw_i420(self.sender, frame, WIDTH, HEIGHT)
            source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.I420, data))
            frame += 1
            await asyncio.sleep(max(0.0, start + frame / FRAMES_PER_SECOND - clock.time()))

    async def sing(self, source: rtc.AudioSource) -> None:
        period = signal.tone(self.sender)
        at = 0
        while True:
            chunk = period[at : at + AUDIO_FRAME_SAMPLES]
            # `capture_frame` waits when the source has enough, so this loop runs in real time.
            await source.capture_frame(rtc.AudioFrame(chunk.tobytes(), signal.SAMPLE_RATE, 1, len(chunk)))
            at = (at + AUDIO_FRAME_SAMPLES) % len(period)

    def on_track(self, track: rtc.RemoteTrack, _publication, who: rtc.RemoteParticipant) -> None:
        tell("subscribed", kind=int(track.kind), sid=track.sid, identity=who.identity, node=who.attributes.get("causeway.node"))
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            self.spawn(self.watch(track, who.identity))
        else:
            self.spawn(self.listen(track, who.identity))

    async def watch(self, track: rtc.Track, identity: str) -> None:
        last = None
        async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.I420):
            picture = event.frame
            mark = signal.read_luma(bytes(picture.data), picture.width, picture.height)
            if mark is not None and mark != last:
                tell("picture", identity=identity, sender=mark[0], frame=mark[1])
                last = mark

    async def listen(self, track: rtc.Track, identity: str) -> None:
        kept = numpy.zeros(0, dtype=numpy.int16)
        async for event in rtc.AudioStream(track, sample_rate=signal.SAMPLE_RATE, num_channels=1):
            kept = numpy.concatenate([kept, numpy.frombuffer(event.frame.data, dtype=numpy.int16)])
            if len(kept) < LISTEN_SAMPLES:
                continue
            sender = signal.heard(kept)
            kept = kept[:0]
            if sender is not None:
                tell("tone", identity=identity, sender=sender)

    def on_data(self, packet: rtc.DataPacket) -> None:
        reliable = packet.kind == rtc.DataPacketKind.KIND_RELIABLE
        identity = packet.participant.identity if packet.participant else None
        tell("data", reliable=reliable, topic=packet.topic, text=packet.data.decode(), identity=identity)

    async def read_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        tell("text", text=await reader.read_all(), identity=identity)

    async def obey(self) -> None:
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            command = json.loads(line)
            match command["do"]:
                case "data":
                    for text in command["texts"]:
                        await self.room.local_participant.publish_data(
                            text, reliable=command["reliable"], topic=command["topic"]
                        )
                case "text":
                    await self.room.local_participant.send_text(command["text"], topic=command["topic"])
                case "leave":
                    return
                case unknown:
                    tell("fault", error=f"unknown command {unknown}")


async def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--token", required=True)
    arguments.add_argument("--sender", required=True, type=int)
    given = arguments.parse_args()
    peer = Peer(given.sender)
    await peer.join(given.url, given.token)
    await peer.publish()
    # Ends at the command to leave, or when whoever gave the commands is gone.
    await peer.obey()
    for task in list(peer.tasks):
        task.cancel()
    await peer.room.disconnect()
    tell("left")


asyncio.run(main())
