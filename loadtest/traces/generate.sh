#!/usr/bin/env bash
# Makes the traces of pre-encoded media that light clients replay, from a synthetic picture and a synthetic voice.
# They are in the repository, so nobody needs to run this to use them: run it to change them. Needs ffmpeg with libvpx,
# libx264 and libopus (Debian: ffmpeg) and python3; as root it installs what is missing.
#
#   loadtest/traces/generate.sh            writes the files beside this script
#   loadtest/traces/generate.sh --verify   lets decoders read what receivers get, stamps and all (needs cargo too): no
#                                          complaint is allowed, and each picture and sound must be that of the files here
#
# All loops are 4 s long and begin with their only keyframe. Layers of a camera share their frame times. Each file is IVF
# (fourcc VP80, H264 or OPUS): VP8 frames as they are, H.264 access units in Annex B form, Opus packets behind one byte
# in the form of the audio level extension (RFC 6464: voice flag and -dBov).
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v ffmpeg >/dev/null || ! command -v python3 >/dev/null; then
    [ "$(id -u)" -eq 0 ] || { echo "generate: install ffmpeg and python3 first" >&2; exit 1; }
    apt-get update -q && apt-get install -y -q ffmpeg python3
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ "${1:-}" = --verify ]; then
    cargo run -q -p loadtest --example stamped_traces -- "$scratch"
    python3 verify.py . "$scratch"
    exit
fi

SECONDS_LONG=4
quiet=(-hide_banner -v error -y)

# A face-like ellipse that sways before a slowly turning background, with a camera's noise.
camera() {
    local size=$1
    echo "gradients=s=$size:c0=0x1d3b4a:c1=0x8a6a50:c2=0x40506a:n=3:speed=0.004:r=25:seed=7,format=yuv420p,\
geq=lum='if(lt(pow((X-W*(0.5+0.03*sin(N/9)))/(W*0.16),2)+pow((Y-H*(0.48+0.02*sin(N/5)))/(H*0.34),2),1),\
150+40*sin(X/W*14+N/7)*cos(Y/H*12),lum(X,Y))':cb='cb(X,Y)':cr='cr(X,Y)',noise=alls=5:allf=t:all_seed=3"
}

layer=0
for kind in 320x180:110k 640x360:350k 1280x720:1200k; do
    size=${kind%%:*} rate=${kind##*:}
    ffmpeg "${quiet[@]}" -f lavfi -i "$(camera "$size")" -t $SECONDS_LONG -c:v libvpx -deadline realtime -cpu-used 6 \
        -lag-in-frames 0 -auto-alt-ref 0 -g 9999 -b:v "$rate" -maxrate "$rate" -minrate "$rate" -bufsize "$rate" \
        -threads 1 -f ivf "camera-vp8-$layer.ivf"
    ffmpeg "${quiet[@]}" -f lavfi -i "$(camera "$size")" -t $SECONDS_LONG -c:v libx264 -preset veryfast \
        -tune zerolatency -profile:v baseline -b:v "$rate" -maxrate "$rate" -bufsize "$rate" -threads 1 \
        -x264-params keyint=infinite:scenecut=0:aud=1:slices=1:repeat-headers=1 -f h264 "$scratch/$layer.h264"
    layer=$((layer + 1))
done

# A page of text-like bars that stands still; a window moves over it in the second half.
ffmpeg "${quiet[@]}" -f lavfi -i "color=c=white:s=1280x720:r=5,format=yuv420p,\
geq=lum='if(lt(mod(Y,24),11)*lt(mod(X*7+floor(Y/24)*53,97),60),40,235)':cb=128:cr=128,\
drawbox=x='if(gt(t,2),200+150*(t-2),200)':y=160:w=420:h=260:color=0x3060a0:t=fill" -t $SECONDS_LONG \
    -c:v libvpx -deadline realtime -cpu-used 6 -lag-in-frames 0 -auto-alt-ref 0 -g 9999 -b:v 400k -threads 1 \
    -f ivf screen-vp8.ivf

# A voice: a gliding tone with harmonics, in syllables, over quiet noise.
ffmpeg "${quiet[@]}" -f lavfi -i "aevalsrc='(0.05+0.95*pow(abs(sin(PI*3.5*t)),1.5))*(0.28*sin(2*PI*145*t+3*sin(2*PI*0.7*t))\
+0.14*sin(2*PI*290*t+6*sin(2*PI*0.7*t))+0.08*sin(2*PI*870*t)+0.05*(random(0)-0.5))':s=48000:d=$SECONDS_LONG" \
    -ac 1 -c:a pcm_s16le -f s16le "$scratch/voice.pcm"
ffmpeg "${quiet[@]}" -f s16le -ar 48000 -ac 1 -i "$scratch/voice.pcm" -c:a libopus -application voip \
    -frame_duration 20 -b:a 32k -vbr on -f ogg "$scratch/voice.ogg"

python3 - "$scratch" <<'PYTHON'
import array, math, struct, sys
scratch = sys.argv[1]

def ivf(path, fourcc, width, height, rate, frames):
    with open(path, "wb") as out:
        out.write(b"DKIF" + struct.pack("<HH4sHHIIII", 0, 32, fourcc, width, height, rate, 1, len(frames), 0))
        for number, frame in enumerate(frames):
            out.write(struct.pack("<IQ", len(frame), number) + frame)

def access_units(data):
    mark = b"\x00\x00\x00\x01\x09"
    return [mark + part for part in data.split(mark)[1:]]

def ogg_packets(data):
    at, packets, partial = 0, [], b""
    while at < len(data):
        assert data[at:at + 4] == b"OggS"
        count = data[at + 26]
        lengths = data[at + 27:at + 27 + count]
        at += 27 + count
        for length in lengths:
            partial += data[at:at + length]
            at += length
            if length < 255:
                packets.append(partial)
                partial = b""
    return packets[2:]

for layer, (width, height) in enumerate([(320, 180), (640, 360), (1280, 720)]):
    units = access_units(open(f"{scratch}/{layer}.h264", "rb").read())
    ivf(f"camera-h264-{layer}.ivf", b"H264", width, height, 25, units)

samples = array.array("h", open(f"{scratch}/voice.pcm", "rb").read())
packets = ogg_packets(open(f"{scratch}/voice.ogg", "rb").read())[:len(samples) // 960]
framed = []
for number, packet in enumerate(packets):
    part = samples[number * 960:(number + 1) * 960]
    power = math.sqrt(sum(value * value for value in part) / len(part)) / 32768
    level = min(127, max(0, round(-20 * math.log10(max(power, 1e-6)))))
    framed.append(bytes([(0x80 if level < 50 else 0) | level]) + packet)
ivf("speech-opus.ivf", b"OPUS", 0, 0, 50, framed)
PYTHON
ls -l ./*.ivf
