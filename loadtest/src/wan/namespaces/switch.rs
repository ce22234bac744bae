//! The thread between the regions: it reads packets from the device of one, and writes them to the device of
//! another when they are due. What a link does to a packet is decided in `model`, never here.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tun_rs::SyncDevice;

use super::config::{NamespacesConfig, region_of};
use crate::wan::command::Command;
use crate::wan::desk::Desk;
use crate::wan::error::WanError;
use crate::wan::handle::Answer;
use crate::wan::links::Links;
use crate::wan::model::PacketBytes;
use crate::wan::poller::{Poller, Token};
use crate::wan::stats::WanStats;

/// Packets taken from one device before the others and those that are due have their turn.
const PACKETS_PER_TURN: usize = 32;

/// Wake-ups for packets that are due fall on multiples of this: on average packets are late by half of it, and
/// at 50,000 packets a second one wake-up serves several.
const QUANTUM: Duration = Duration::from_micros(20);

/// Largest IP packet.
const LARGEST_PACKET_BYTES: usize = 65_535;

/// The running emulator.
pub(super) struct Switch {
    poller: Poller,
    desk: Desk,
    /// In the order of the regions.
    devices: Vec<SyncDevice>,
    links: Links<()>,
    /// Index of the link between two regions, `[from][to]`.
    routes: Vec<Vec<Option<usize>>>,
    /// Index of the receiving region of each link.
    receivers: Vec<usize>,
    strays: u64,
    buffer: Box<[u8]>,
}

impl Switch {
    /// Takes the devices of a checked configuration, in the order of its regions.
    pub(super) fn new(config: &NamespacesConfig, devices: Vec<SyncDevice>) -> Result<Self, WanError> {
        let poller = Poller::new(QUANTUM)?;
        for (index, device) in devices.iter().enumerate() {
            poller.watch(device, Token::Device(index))?;
        }
        let desk = Desk::open(config.control, &poller)?;
        let index_of = |name: &String| {
            let index = config.regions.iter().position(|region| region == name);
            index.expect("invariant: links of a checked configuration join its regions")
        };
        let mut links = Links::default();
        let mut routes = vec![vec![None; devices.len()]; devices.len()];
        let mut receivers = Vec::new();
        for (index, link) in config.links.iter().enumerate() {
            links.add(&link.from, &link.to, &link.properties, config.seed);
            routes[index_of(&link.from)][index_of(&link.to)] = Some(index);
            receivers.push(index_of(&link.to));
        }
        Ok(Self {
            poller,
            desk,
            devices,
            links,
            routes,
            receivers,
            strays: 0,
            buffer: vec![0; LARGEST_PACKET_BYTES].into_boxed_slice(),
        })
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Carries packets on this thread until it is asked to stop, then returns the final counters and closes the
    /// devices.
    pub(super) fn run(mut self) -> Result<WanStats, WanError> {
        loop {
            self.deliver_due(Instant::now());
            let earliest = self.links.earliest();
            for token in self.poller.wait(Instant::now(), earliest)? {
                match token {
                    Token::ControlClient(index) => self.read_control(index),
                    Token::ControlListener => self.desk.accept_control(&self.poller),
                    Token::Device(index) => {
                        self.take(index);
                        self.deliver_due(Instant::now());
                    }
                    // No namespace has sockets here.
                    Token::Flow(_) | Token::Listen(_) | Token::Timer => {}
                    Token::Wake => {
                        if self.answer_requests()? {
                            return Ok(self.links.stats(beside_links(self.strays)));
                        }
                    }
                }
            }
        }
    }

    /// Takes what a region has sent.
    fn take(&mut self, region: usize) {
        for _ in 0..PACKETS_PER_TURN {
            let bytes = match self.devices[region].recv(&mut self.buffer) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Empty; anything else (the device was set down) ends by itself or with the next packet.
                Err(_) => return,
            };
            let packet = &self.buffer[..bytes];
            let receiver = destination_of(packet).and_then(region_of);
            match receiver.and_then(|receiver| *self.routes[region].get(receiver)?) {
                Some(link) => {
                    let size = PacketBytes::of_ip_packet(bytes);
                    self.links.offer(link, Instant::now(), size, (), packet);
                }
                None => self.strays += 1,
            }
        }
    }

    fn deliver_due(&mut self, now: Instant) {
        while let Some(packet) = self.links.pop_due(now) {
            let device = &self.devices[self.receivers[packet.link]];
            self.links.settle(&packet, || device.send(&packet.bytes).is_ok());
        }
    }

    fn answer_requests(&mut self) -> Result<bool, WanError> {
        let strays = self.strays;
        self.desk
            .answer_requests(|command| self.links.obey(command, || beside_links(strays)))
    }

    fn read_control(&mut self, index: usize) {
        let strays = self.strays;
        let obey = |command: &Command| -> Result<Answer, WanError> {
            self.links.obey(command, || beside_links(strays))
        };
        self.desk.read_control(index, obey);
    }
}

/// The counters that do not belong to links.
fn beside_links(strays: u64) -> WanStats {
    WanStats {
        strays,
        ..WanStats::default()
    }
}

/// The destination of an IPv4 packet (RFC 791, section 3.1); `None` for anything else.
fn destination_of(packet: &[u8]) -> Option<Ipv4Addr> {
    const HEADER_BYTES: usize = 20;
    let header: &[u8; HEADER_BYTES] = packet.first_chunk()?;
    if header[0] >> 4 != 4 {
        return None;
    }
    let [.., a, b, c, d] = *header;
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_whole_ipv4_headers_have_a_destination() {
        let mut packet = [0; 21];
        packet[0] = 0x45;
        packet[16..20].copy_from_slice(&[198, 18, 3, 7]);
        assert_eq!(destination_of(&packet), Some(Ipv4Addr::new(198, 18, 3, 7)));
        assert_eq!(destination_of(&packet[..19]), None);
        packet[0] = 0x60;
        assert_eq!(destination_of(&packet), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(packet: Vec<u8>) {
            let _ = destination_of(&packet).and_then(region_of);
        }
    }
}
