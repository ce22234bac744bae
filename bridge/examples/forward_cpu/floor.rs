//! The floor: receive, rewrite, seal, send in segments. Nothing else.

use crate::AnyError;
use crate::load::{self, Path, Shape, Viewers};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bridge::shard::MediaSocket;
use bridge::shard::socket::{BATCH, open};
use nix::sys::eventfd::EventFd;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const HEADER_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

struct Viewer {
    address: SocketAddr,
    key: LessSafeKey,
    ssrc: u32,
    index: u64,
}

pub(crate) fn start(shape: Shape) -> Result<Path, AnyError> {
    let socket = open(([127, 0, 0, 1], 0).into())?;
    let to = socket.local_addr()?;
    let viewers = Viewers::start(shape.viewers, to)?;
    let bell = EventFd::new()?;
    let stop = Arc::new(AtomicBool::new(false));
    let legs = viewers
        .addresses()
        .iter()
        .enumerate()
        .map(|(at, address)| {
            let key = UnboundKey::new(&AES_128_GCM, &[at as u8; 16]).map_err(|_| "key")?;
            Ok(Viewer {
                address: *address,
                key: LessSafeKey::new(key),
                ssrc: at as u32,
                index: 1,
            })
        })
        .collect::<Result<Vec<_>, AnyError>>()?;
    let end = stop.clone();
    let thread = std::thread::Builder::new()
        .name("floor".into())
        .spawn(move || forward(MediaSocket::new(socket), &bell, legs, &end))?;
    let mut packet = vec![7; HEADER_BYTES + load::PAYLOAD_BYTES + TAG_BYTES];
    // Version 2, payload type 96.
    packet[..2].copy_from_slice(&[0x80, 96]);
    Ok(Path {
        viewers,
        publisher: MediaSocket::new(open(([127, 0, 0, 1], 0).into())?),
        to,
        forwarder: "floor",
        packets_per_second: shape.packets_per_second,
        next_packet: Box::new(move |_| packet.clone()),
        end: Box::new(move || {
            stop.store(true, Ordering::Relaxed);
            if thread.join().is_err() {
                eprintln!("the floor's thread has panicked");
            }
        }),
    })
}

fn forward(mut socket: MediaSocket, bell: &EventFd, mut legs: Vec<Viewer>, stop: &AtomicBool) {
    if let Err(error) = rustix::process::setpriority_process(None, load::FORWARDER_NICE) {
        eprintln!("the floor has no priority, nor has a node: {error}");
    }
    let mut packets: Vec<Vec<u8>> = vec![Vec::new(); BATCH];
    let mut out = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut count = 0;
        let taken = socket
            .wait(bell.as_fd(), Some(Duration::from_millis(20)))
            .and_then(|()| {
                socket.receive(|_, bytes| {
                    packets[count].clear();
                    packets[count].extend_from_slice(&bytes[..bytes.len() - TAG_BYTES]);
                    count += 1;
                })
            });
        if let Err(error) = taken {
            eprintln!("the floor's socket fails: {error}");
            return;
        }
        for leg in &mut legs {
            out.clear();
            for packet in &packets[..count] {
                rewrite_and_seal(leg, packet, &mut out);
            }
            let segment = HEADER_BYTES + load::PAYLOAD_BYTES + TAG_BYTES;
            if !out.is_empty() {
                socket.send(leg.address, &out, (out.len() > segment).then_some(segment));
            }
        }
    }
}

fn rewrite_and_seal(leg: &mut Viewer, packet: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(packet);
    out[start + 2..start + 4].copy_from_slice(&(leg.index as u16).to_be_bytes());
    out[start + 8..start + 12].copy_from_slice(&leg.ssrc.to_be_bytes());
    let mut nonce = [0; 12];
    nonce[4..12].copy_from_slice(&leg.index.to_be_bytes());
    let (header, payload) = out[start..].split_at_mut(HEADER_BYTES);
    let sealed =
        leg.key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&*header), payload);
    if let Ok(tag) = sealed {
        out.extend_from_slice(tag.as_ref());
    }
    leg.index += 1;
}
