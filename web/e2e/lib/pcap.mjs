/** Looking for bytes in what was captured on the links between nodes. */
import { readFile } from "node:fs/promises";

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const MAGIC_LITTLE_ENDIAN = 0xa1b2c3d4;

/** IPv4 header without options, then UDP header: raw IP is what the emulator writes. */
const IP_AND_UDP_BYTES = 28;

/** Reads a capture. Throws unless it is a classic pcap file in little-endian order. */
export async function readCapture(file) {
  const bytes = await readFile(file);
  if (bytes.length < FILE_HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC_LITTLE_ENDIAN) {
    throw new Error(`${file} is no pcap file as the emulator writes it`);
  }
  return { bytes, datagrams: payloads(bytes) };
}

/** Payload of each captured datagram. A record cut off by the end of the file is left out. */
function payloads(bytes) {
  const found = [];
  let at = FILE_HEADER_BYTES;
  while (at + RECORD_HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt32LE(at + 8);
    const start = at + RECORD_HEADER_BYTES;
    if (start + length > bytes.length) break;
    found.push(bytes.subarray(start + IP_AND_UDP_BYTES, start + length));
    at = start + length;
  }
  return found;
}

/** Those of `needles` (name to bytes) that occur anywhere in the capture. */
export function occurring(capture, needles) {
  return [...needles].filter(([, needle]) => capture.bytes.includes(needle)).map(([name]) => name);
}

/** `length` bytes out of the middle of a captured datagram: what a search of this capture must find. */
export function knownSlice(capture, length) {
  const large = capture.datagrams.filter((datagram) => datagram.length > 4 * length);
  const datagram = large[Math.floor(large.length / 2)];
  if (!datagram) throw new Error("the capture holds no datagram to take a sample from");
  const middle = Math.floor(datagram.length / 2);
  return Buffer.from(datagram.subarray(middle, middle + length));
}
