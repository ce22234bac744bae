//! Which session a datagram belongs to.
use crate::shard::io::ShardId;
use std::net::SocketAddr;
/// Address table and ufrag index of one shard; maps to slot numbers the caller chooses.
#[derive(Debug)]
pub struct Mux {}
impl Mux {
    /// An empty table that holds at most `max_addresses` addresses and `max_ufrags` ufrags.
    #[must_use]
    pub fn new(max_addresses: usize, max_ufrags: usize) -> Self {
        todo!("{max_addresses} {max_ufrags}")
    }
    /// Registers a session's ufrag; again after every `negotiate` (an ICE restart changes it; the older stays known).
    pub fn insert(&mut self, slot: u32, ufrag: &str) {
        todo!("{slot} {ufrag}")
    }
    /// Forgets a session: its ufrags and addresses.
    pub fn remove(&mut self, slot: u32) {
        todo!("{slot}")
    }
    /// The slot a datagram belongs to.
    #[must_use]
    pub fn classify(&mut self, from: SocketAddr, bytes: &[u8]) -> Option<u32> {
        todo!("{from} {}", bytes.len())
    }
    /// Binds an authenticated address (from `Session::poll_new_addr`) to its slot.
    pub fn learn(&mut self, from: SocketAddr, slot: u32) {
        todo!("{from} {slot}")
    }
    /// The shard a STUN request is meant for, by its USERNAME; none for anything else.
    #[must_use]
    pub fn shard_of(bytes: &[u8]) -> Option<ShardId> {
        todo!("{}", bytes.len())
    }
}
