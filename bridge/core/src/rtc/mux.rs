//! Which session a datagram belongs to: one table per shard, read for every packet.
//!
//! Only authenticated input adds an address, and both tables are bounded, so nobody without credentials grows them.

use super::ice::shard_of_ufrag;
use super::stun::peek_local_ufrag;
use crate::shard::io::ShardId;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// Ufrags a session keeps: its newest and the one before an ICE restart.
const MAX_UFRAGS_PER_SLOT: usize = 2;
/// Addresses a session keeps; the one learned longest ago gives way.
const MAX_ADDRESSES_PER_SLOT: usize = 8;

#[derive(Debug, Default)]
struct Slot {
    /// Newest last.
    ufrags: VecDeque<String>,
    /// Learned last, last.
    addresses: VecDeque<SocketAddr>,
}

/// Address table and ufrag index of one shard; maps to slot numbers the caller chooses.
#[derive(Debug)]
pub struct Mux {
    by_address: HashMap<SocketAddr, u32>,
    by_ufrag: HashMap<String, u32>,
    slots: HashMap<u32, Slot>,
    max_sessions: usize,
}

impl Mux {
    /// An empty table for at most `max_sessions` sessions, each with at most 8 addresses and 2 ufrags.
    #[must_use]
    pub fn new(max_sessions: usize) -> Self {
        Self {
            by_address: HashMap::new(),
            by_ufrag: HashMap::new(),
            slots: HashMap::new(),
            max_sessions,
        }
    }

    /// Registers a session's ufrag; call it again after every `negotiate`, because an ICE restart changes the ufrag
    /// (the one before stays known). Does nothing when the ufrag is known or the table is full.
    pub fn insert(&mut self, slot: u32, ufrag: &str) {
        if self.by_ufrag.contains_key(ufrag) {
            return;
        }
        if !self.slots.contains_key(&slot) && self.slots.len() >= self.max_sessions {
            return;
        }
        let entry = self.slots.entry(slot).or_default();
        entry.ufrags.push_back(ufrag.to_owned());
        self.by_ufrag.insert(ufrag.to_owned(), slot);
        if entry.ufrags.len() > MAX_UFRAGS_PER_SLOT
            && let Some(oldest) = entry.ufrags.pop_front()
        {
            self.by_ufrag.remove(&oldest);
        }
    }

    /// Forgets a session: its ufrags and addresses.
    pub fn remove(&mut self, slot: u32) {
        let Some(entry) = self.slots.remove(&slot) else {
            return;
        };
        for ufrag in &entry.ufrags {
            self.by_ufrag.remove(ufrag);
        }
        for address in &entry.addresses {
            if self.by_address.get(address) == Some(&slot) {
                self.by_address.remove(address);
            }
        }
    }

    /// The slot a datagram belongs to: STUN requests by the ufrag they name (an address may have changed hands),
    /// everything else by its source. Cost: one hash look-up. Creates no state.
    #[must_use]
    pub fn classify(&self, from: SocketAddr, bytes: &[u8]) -> Option<u32> {
        if matches!(bytes.first(), Some(0..=3)) {
            return self.by_ufrag.get(peek_local_ufrag(bytes)?).copied();
        }
        self.by_address.get(&from).copied()
    }

    /// Binds an authenticated address (from `Session::poll_new_addr`) to its slot; an address that belonged to another
    /// session changes hands.
    pub fn learn(&mut self, from: SocketAddr, slot: u32) {
        let Some(entry) = self.slots.get_mut(&slot) else {
            return;
        };
        entry.addresses.retain(|known| *known != from);
        entry.addresses.push_back(from);
        let evicted = if entry.addresses.len() > MAX_ADDRESSES_PER_SLOT {
            entry.addresses.pop_front()
        } else {
            None
        };
        let previous = self.by_address.insert(from, slot);
        if let Some(previous) = previous.filter(|previous| *previous != slot)
            && let Some(entry) = self.slots.get_mut(&previous)
        {
            entry.addresses.retain(|known| *known != from);
        }
        if let Some(evicted) = evicted {
            self.by_address.remove(&evicted);
        }
    }

    /// Forgets an address that cannot come again; the slot it belonged to.
    pub fn forget(&mut self, address: SocketAddr) -> Option<u32> {
        let slot = self.by_address.remove(&address)?;
        if let Some(entry) = self.slots.get_mut(&slot) {
            entry.addresses.retain(|known| *known != address);
        }
        Some(slot)
    }

    /// The shard a STUN request is meant for; none for anything else. Another shard than this one's means the
    /// kernel steered the datagram to the wrong socket.
    #[must_use]
    pub fn shard_of(bytes: &[u8]) -> Option<ShardId> {
        peek_local_ufrag(bytes).and_then(shard_of_ufrag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::stun::binding_request;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn request(ufrag: &str) -> Vec<u8> {
        binding_request([0; 12], &format!("{ufrag}:peer"), "pw", false, &[])
    }

    #[test]
    fn requests_go_by_name_and_everything_else_by_learned_address() {
        let mut mux = Mux::new(10);
        mux.insert(1, "00aaaa");
        mux.insert(2, "00bbbb");
        assert_eq!(mux.classify(addr(1), &request("00bbbb")), Some(2));
        assert_eq!(mux.classify(addr(1), &[128; 20]), None);
        mux.learn(addr(1), 2);
        assert_eq!(mux.classify(addr(1), &[128; 20]), Some(2));
        // The same address under another name: a client that came back.
        assert_eq!(mux.classify(addr(1), &request("00aaaa")), Some(1));
        mux.learn(addr(1), 1);
        mux.remove(2);
        assert_eq!(mux.classify(addr(1), &[128; 20]), Some(1));
        mux.remove(1);
        assert_eq!(mux.classify(addr(1), &[128; 20]), None);
        assert_eq!(mux.classify(addr(1), &request("00aaaa")), None);
    }

    #[test]
    fn tables_stay_bounded() {
        let mut mux = Mux::new(2);
        for slot in 0..5 {
            mux.insert(slot, &format!("0{slot}"));
        }
        assert_eq!(mux.slots.len(), 2);
        for restart in 0..9 {
            mux.insert(0, &format!("restart{restart}"));
        }
        assert_eq!(mux.by_ufrag.len(), 3);
        for port in 1..100 {
            mux.learn(addr(port), 0);
        }
        assert_eq!(mux.by_address.len(), MAX_ADDRESSES_PER_SLOT);
        assert_eq!(mux.classify(addr(99), &[128; 20]), Some(0));
        mux.learn(addr(200), 77);
        assert_eq!(mux.classify(addr(200), &[128; 20]), None);
    }

    #[test]
    fn the_shard_is_read_from_a_request() {
        assert_eq!(Mux::shard_of(&request("0aXYZ")), Some(ShardId(10)));
        assert_eq!(Mux::shard_of(&[22, 254, 253]), None);
    }
}
