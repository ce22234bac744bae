//! The TCP connections of a shard's clients: where their lanes are.

use crate::tcp::lanes::Sender;
use bridge_core::rtc::TcpId;
use bytes::BytesMut;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

/// What a connection tells its shard. The address is [`TcpId::address`].
#[derive(Debug)]
pub(super) enum TcpInput {
    /// It is there, and this is where to send to it.
    Connected(SocketAddr, Sender),
    /// A packet has come.
    Packet(SocketAddr, BytesMut),
    /// It is gone.
    Disconnected(SocketAddr),
}

/// Lanes by connection. Their number is limited where connections are let in.
#[derive(Debug, Default)]
pub(super) struct Connections {
    lanes: HashMap<TcpId, Sender>,
    /// Packets for connections that were gone.
    pub(super) unconnected: u64,
}

impl Connections {
    pub(super) fn add(&mut self, address: SocketAddr, lanes: Sender) {
        if let Some(id) = TcpId::of(address) {
            self.lanes.insert(id, lanes);
        }
    }

    pub(super) fn remove(&mut self, address: SocketAddr) {
        if let Some(id) = TcpId::of(address) {
            self.lanes.remove(&id);
        }
    }

    /// Queues packets for a connection; those for one that is gone are counted.
    pub(super) fn send(
        &mut self,
        now: Instant,
        to: TcpId,
        (bytes, segment_bytes): (&[u8], Option<usize>),
        is_picture: bool,
    ) {
        match self.lanes.get(&to) {
            Some(lanes) => lanes.push(now, bytes, segment_bytes, is_picture),
            None => {
                let segment = segment_bytes.unwrap_or(bytes.len()).max(1);
                self.unconnected += bytes.len().div_ceil(segment) as u64;
            }
        }
    }
}
