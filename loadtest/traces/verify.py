"""Decodes stamped traces and compares them with the traces themselves: verify.py TRACES STAMPED_TRACES.

Called by `generate.sh --verify`. The stamped files are those of the example `stamped_traces`: a whole loop, then
PART_FRAMES frames, then a whole loop. Every picture must be the same bit for bit, and no decoder may say a word.
"""

import pathlib
import struct
import subprocess
import sys

PART_FRAMES = 30
SAMPLES_PER_FRAME = 960
DECODERS = {"vp8": ["vp8", "libvpx"], "h264": ["h264"], "opus": ["opus", "libopus"]}


def ivf_frames(path):
    data, at, frames = path.read_bytes(), 32, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        frames.append(data[at + 12 : at + 12 + length])
        at += 12 + length
    return frames


def ogg_crc(data):
    """RFC 3533 section 6: polynomial 0x04c11db7, nothing reflected, nothing inverted."""
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def write_ogg(path, packets):
    """One packet a page; ffmpeg does not read Opus from IVF."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<II", 0, 0)
    with path.open("wb") as out:
        for number, packet in enumerate([head, tags, *packets]):
            flags = 2 if number == 0 else 4 if number == len(packets) + 1 else 0
            lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
            granule = max(0, number - 1) * SAMPLES_PER_FRAME
            page = b"OggS" + struct.pack("<BBqIIIB", 0, flags, granule, 1, number, 0, len(lacing)) + lacing + packet
            out.write(page[:22] + struct.pack("<I", ogg_crc(page)) + page[26:])


def decode(decoder, path):
    """Hashes of the decoded frames. Ends the program if the decoder complains."""
    command = ["ffmpeg", "-hide_banner", "-v", "warning", "-xerror", "-err_detect", "explode", "-c", decoder]
    command += ["-i", str(path), "-fps_mode", "passthrough", "-f", "framemd5", "-"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0 or result.stderr:
        sys.exit(f"verify: {decoder} does not like {path.name}: {result.stderr.strip()}")
    return [line.split(",")[-1].strip() for line in result.stdout.splitlines() if not line.startswith("#")]


def verify(original, stamped, codec):
    frames = ivf_frames(original)
    if codec == "opus":
        # A decoder of sound remembers, so only the first loop can be compared.
        write_ogg(stamped.with_suffix(".before.ogg"), [frame[1:] for frame in frames])
        write_ogg(stamped.with_suffix(".ogg"), ivf_frames(stamped))
        original, stamped = stamped.with_suffix(".before.ogg"), stamped.with_suffix(".ogg")
    for decoder in DECODERS[codec]:
        loop, got = decode(decoder, original), decode(decoder, stamped)
        if len(loop) != len(frames) or len(got) != 2 * len(loop) + PART_FRAMES:
            sys.exit(f"verify: {decoder} made {len(loop)} and {len(got)} frames of the {len(frames)} of {original.name}")
        compared = len(loop) if codec == "opus" else len(got)
        if got[:compared] != (loop + (2 * loop)[:PART_FRAMES] + loop)[:compared]:
            sys.exit(f"verify: {decoder} sees something else in {stamped.name} than in the trace")
        print(f"{stamped.name}: {decoder} decodes {len(got)} frames, {compared} compared and equal")


def main():
    traces, stamped = map(pathlib.Path, sys.argv[1:3])
    for original in sorted(traces.glob("*.ivf")):
        codec = next(codec for codec in DECODERS if codec in original.name)
        verify(original, stamped / original.name, codec)


main()
