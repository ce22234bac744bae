//! A published track: its layers, its viewers on this shard, and the nodes its media goes to next.

use super::cache::{PacketCache, PacketMeta};
pub use super::clock::Clock;
use super::keyframe::KeyframeRequester;
use super::layer::{Admission, LayerActivity, LayerChoice};
use super::leg::Leg;
use super::nack::{NackGenerator, NackPolicy};
use super::publishing::Publishing;
use super::rate::RateMeter;
use super::sequence::SequenceExtender;
use crate::red;
use relay_proto::id::{Layer, LayerSet, MAX_LAYERS, NodeId, ParticipantSid, TrackAlias, TrackSid};
use relay_proto::room::{Codec, MediaKind, TrackRecord, TrackSource};
use relay_proto::unit::MediaSeq;
use std::time::{Duration, Instant};

/// Packets kept per video layer: about a second at 4 Mbit/s.
const VIDEO_WINDOW: usize = 512;
/// Sender reports of a layer that follow more closely are ignored; clients send about one a second.
const CLOCK_INTERVAL: Duration = Duration::from_millis(100);
/// Packets kept per audio track: about two seconds.
const AUDIO_WINDOW: usize = 128;

/// What a viewer's packet has around a payload: IP, UDP, RTP with its number, the tag of a seal.
const WIRE_OVERHEAD_BYTES: usize = 64;
/// What the layers of a camera cost, before there is anything to measure.
const USUAL_RATES: [u64; MAX_LAYERS] = [150_000, 450_000, 1_500_000];

/// One layer of a track.
#[derive(Debug)]
pub struct LayerState {
    cache: Option<PacketCache>,
    extender: SequenceExtender,
    /// Missing packets.
    pub nack: NackGenerator,
    /// Wishes for keyframes.
    pub keyframe: KeyframeRequester,
    /// How much it sends.
    meter: RateMeter,
    /// Newest sender report.
    pub clock: Option<Clock>,
    clock_at: Option<Instant>,
}

impl LayerState {
    fn new(policy: NackPolicy) -> Self {
        Self {
            cache: None,
            extender: SequenceExtender::default(),
            nack: NackGenerator::new(policy),
            keyframe: KeyframeRequester::default(),
            meter: RateMeter::default(),
            clock: None,
            clock_at: None,
        }
    }

    /// Takes a sender report; false where the last one is so new that this one is not worth passing on: one report
    /// becomes one for every viewer.
    pub fn take_clock(&mut self, clock: Clock, now: Instant) -> bool {
        if self
            .clock_at
            .is_some_and(|last| now.duration_since(last) < CLOCK_INTERVAL)
        {
            return false;
        }
        self.clock = Some(clock);
        self.clock_at = Some(now);
        true
    }

    /// A packet still held. Hot path.
    #[must_use]
    pub fn packet(&self, seq: MediaSeq) -> Option<(&PacketMeta, &[u8])> {
        self.cache.as_ref()?.packet(seq)
    }

    /// A packet still held is the first of a sound after a pause.
    pub fn mark(&mut self, seq: MediaSeq) {
        if let Some(cache) = &mut self.cache {
            cache.mark(seq);
        }
    }

    /// How many packets right before this one were held when it came; at most two, and only of sound.
    #[must_use]
    pub fn earlier(&self, seq: MediaSeq) -> u8 {
        self.cache.as_ref().map_or(0, |cache| cache.earlier(seq))
    }

    /// Whether this packet is missing between those that have come and the one that comes now. Never before the first
    /// packet, nor the first one after a pause.
    #[must_use]
    pub fn lacks(&self, seq: MediaSeq) -> bool {
        self.nack.newest().is_some_and(|newest| newest < seq)
    }
}

/// Where a track's media comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client of this shard: its session slot and the index of the uplink there.
    Local {
        /// Session slot.
        session: u32,
        /// Index among its uplinks.
        uplink: usize,
    },
    /// Another node.
    Remote,
}

/// A node that wants layers of a local track. Each wanted layer is a choice of its own, made as a viewer's is.
#[derive(Debug)]
struct PeerDemand {
    node: NodeId,
    wanted: [Option<LayerChoice>; MAX_LAYERS],
}

/// What is fixed about a track while it lives.
#[derive(Clone, Debug)]
pub struct TrackIdentity {
    /// Id clients know.
    pub sid: TrackSid,
    /// Id in datagrams.
    pub alias: TrackAlias,
    /// Node it is published on.
    pub origin: NodeId,
    /// Slot of its room.
    pub room: u32,
    /// Its publisher.
    pub participant: ParticipantSid,
    /// Stream id viewers see (`PA_…|group`).
    pub stream_id: String,
    /// Its codec.
    pub codec: Codec,
    /// What it shows, if anything.
    pub picture: Picture,
    /// Its frames may be repeated (RFC 2198).
    pub redundant: bool,
}

/// What is known of a track's pictures before they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// A shared screen.
    pub is_screen: bool,
    /// How many layers there are.
    pub layers: usize,
    /// What the publisher aims at for each layer, in bits a second; 0 where it does not say.
    pub aims: [u64; MAX_LAYERS],
}

impl Picture {
    /// From what the publisher has announced.
    #[must_use]
    pub fn of(record: &TrackRecord) -> Self {
        let mut aims = [0; MAX_LAYERS];
        for layer in &record.layers {
            if let Some(aim) = aims.get_mut(usize::from(layer.layer.0)) {
                *aim = layer.bitrate.0;
            }
        }
        Self {
            is_screen: record.source == TrackSource::ScreenShare,
            layers: match record.layers.len() {
                _ if !record.simulcast => 1,
                0 => MAX_LAYERS,
                announced => announced.min(MAX_LAYERS),
            },
            aims,
        }
    }
}

/// A packet on its way in.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Layer.
    pub layer: Layer,
    /// Header facts; `seq` already extended.
    pub meta: PacketMeta,
    /// RTP payload.
    pub payload: &'a [u8],
}

/// A published track on this shard.
#[derive(Debug)]
pub struct Track {
    /// What is fixed.
    pub identity: TrackIdentity,
    /// Where media comes from.
    pub source: Source,
    /// Muted by the publisher: nothing is forwarded.
    pub muted: bool,
    /// Whether its source answers requests for missing packets.
    pub repaired: bool,
    /// Layers, smallest first.
    pub layers: [LayerState; MAX_LAYERS],
    /// Viewers: the fan-out plan, rebuilt on subscription changes, read per packet.
    pub legs: Vec<Leg>,
    /// Packets of the current batch, in order of arrival.
    pub fresh: Vec<(Layer, MediaSeq)>,
    /// The demand last told to the origin of a remote track.
    pub told_demand: LayerSet,
    /// Its publisher knows that somebody receives it.
    told_received: bool,
    /// What the publisher of a local track has been told to send.
    publishing: Publishing,
    activity: LayerActivity,
    peers: Vec<PeerDemand>,
}

impl Track {
    /// A track without viewers.
    #[must_use]
    pub fn new(identity: TrackIdentity, source: Source, muted: bool) -> Self {
        let policy = match (source, identity.codec.kind()) {
            (Source::Local { .. }, MediaKind::Audio) => NackPolicy::SOUND,
            (Source::Local { .. }, MediaKind::Video) => NackPolicy::CLIENT,
            (Source::Remote, _) => NackPolicy::LINK,
        };
        Self {
            identity,
            source,
            muted,
            repaired: true,
            layers: std::array::from_fn(|_| LayerState::new(policy)),
            legs: Vec::new(),
            fresh: Vec::new(),
            told_demand: LayerSet::NONE,
            told_received: false,
            publishing: Publishing::default(),
            activity: LayerActivity::default(),
            peers: Vec::new(),
        }
    }

    /// Sound or pictures.
    #[must_use]
    pub const fn kind(&self) -> MediaKind {
        self.identity.codec.kind()
    }

    /// Extends a client's sequence number in its layer.
    pub fn extend(&mut self, layer: Layer, seq: u16) -> MediaSeq {
        self.layers[usize::from(layer.0).min(MAX_LAYERS - 1)]
            .extender
            .extend(seq)
    }

    /// Takes a packet in: stores it, notes gaps, and marks it for this batch's fan-out. False where it is a
    /// duplicate, too old, muted, or of a layer that does not exist. Hot path: one copy, no allocation in steady state.
    pub fn ingest(&mut self, now: Instant, packet: Incoming<'_>) -> bool {
        if self.muted {
            // Not kept either: what is kept could be asked for as if it had been lost.
            return false;
        }
        let kind = self.kind();
        let Some(layer) = self.layers.get_mut(usize::from(packet.layer.0)) else {
            return false;
        };
        let window = if kind == MediaKind::Audio {
            AUDIO_WINDOW
        } else {
            VIDEO_WINDOW
        };
        let looks_back = if kind == MediaKind::Audio {
            red::MAX_EARLIER as u8
        } else {
            0
        };
        let empty = || PacketCache::new(window).counting_earlier(looks_back);
        let cache = layer.cache.get_or_insert_with(empty);
        if !cache.insert(packet.meta, packet.payload) {
            return false;
        }
        let begins = packet.meta.keyframe && kind == MediaKind::Video;
        if begins && !has_receiver(&self.legs, &self.peers, packet.layer) {
            // Whoever takes up the layer does so here: what was sent before it is of no use.
            layer.nack.restart();
        }
        layer.meter.count(packet.payload.len() + WIRE_OVERHEAD_BYTES);
        layer.nack.received(packet.meta.seq, now);
        if layer.nack.take_overrun() {
            layer.keyframe.want();
        }
        if self.activity.touch(packet.layer, now) {
            self.retarget(now);
        }
        if packet.meta.keyframe {
            // After the choice of layers: whoever has just chosen this one begins with this packet.
            self.layers[usize::from(packet.layer.0)].keyframe.satisfied();
        }
        self.fresh.push((packet.layer, packet.meta.seq));
        true
    }

    /// Looks again at which layer every receiver should have, and notes the keyframes needed to get there and those
    /// nobody needs any more. Call on every change of wishes and at every review.
    pub fn retarget(&mut self, now: Instant) {
        let mut in_use = LayerSet::NONE;
        let legs = self
            .legs
            .iter_mut()
            .filter(|leg| leg.connected)
            .map(|leg| &mut leg.choice);
        let peers = self
            .peers
            .iter_mut()
            .flat_map(|peer| peer.wanted.iter_mut().flatten());
        for choice in legs.chain(peers) {
            if let Some(layer) = choice.retarget(&self.activity, now) {
                self.layers[usize::from(layer.0)].keyframe.want();
                in_use = in_use.with(layer);
            }
            in_use = choice.current().into_iter().fold(in_use, LayerSet::with);
        }
        for (layer, state) in (0..).map(Layer).zip(&mut self.layers) {
            if !in_use.contains(layer) {
                state.keyframe.give_up();
            }
        }
    }

    /// Moves the rates of its layers on; call at every review.
    pub fn roll_rates(&mut self, now: Instant) {
        for layer in &mut self.layers {
            layer.meter.roll(now);
        }
    }

    /// What each layer costs a viewer in bits a second, growing: measured, else as announced, else as usual. A layer
    /// that does not exist costs what the one below it costs.
    #[must_use]
    pub fn rates(&self) -> [u64; MAX_LAYERS] {
        let Picture { layers, aims, .. } = self.identity.picture;
        let mut rates = [0; MAX_LAYERS];
        let mut below = 0;
        for (at, state) in self.layers.iter().enumerate() {
            let supposed = if aims[at] > 0 { aims[at] } else { USUAL_RATES[at] };
            let rate = state
                .meter
                .rate()
                .unwrap_or(if at < layers { supposed } else { 0 });
            below = below.max(rate);
            rates[at] = below;
        }
        rates
    }

    /// Mutes or unmutes. After a pause every receiver starts again at a keyframe, and nothing of it counts as lost.
    pub fn set_muted(&mut self, muted: bool) {
        if self.muted != muted {
            self.muted = muted;
            self.restart();
            for layer in &mut self.layers {
                layer.nack.restart();
            }
        }
    }

    /// Lets every receiver start again at a keyframe.
    pub fn restart(&mut self) {
        for leg in &mut self.legs {
            leg.choice.reset();
        }
        for choice in self
            .peers
            .iter_mut()
            .flat_map(|peer| peer.wanted.iter_mut().flatten())
        {
            choice.reset();
        }
    }

    /// Sets what a node wants of this track; choices that stay keep the layer they have.
    pub fn set_peer_demand(&mut self, node: NodeId, layers: LayerSet, now: Instant) {
        let at = self.peers.iter().position(|peer| peer.node == node);
        if layers.is_empty() {
            if let Some(at) = at {
                self.peers.swap_remove(at);
            }
            return;
        }
        let at = at.unwrap_or_else(|| {
            self.peers.push(PeerDemand {
                node,
                wanted: [None; MAX_LAYERS],
            });
            self.peers.len() - 1
        });
        let before = self.peers[at].wanted;
        let of_layers = || (0..).map(Layer).zip(before);
        // A choice in place of another goes on with the layer that one had, until its own has a keyframe.
        let mut replaced = of_layers()
            .filter(|(layer, _)| !layers.contains(*layer))
            .filter_map(|(_, choice)| choice);
        for (layer, choice) in of_layers() {
            let after = layers.contains(layer).then(|| {
                let mut choice = choice
                    .or_else(|| replaced.next())
                    .unwrap_or_else(|| LayerChoice::new(layer));
                choice.set_wish(true, layer);
                choice
            });
            self.peers[at].wanted[usize::from(layer.0)] = after;
        }
        self.retarget(now);
    }

    /// Nodes that want something of this track.
    pub fn demanding_nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.iter().map(|peer| peer.node)
    }

    /// Collects into `nodes` who gets a packet of `layer`, each node once. Hot path: no allocation once `nodes` is
    /// as long as the longest list.
    pub fn next_hops(&mut self, layer: Layer, keyframe: bool, nodes: &mut Vec<NodeId>) {
        nodes.clear();
        for peer in &mut self.peers {
            let mut wanted = false;
            for choice in peer.wanted.iter_mut().flatten() {
                wanted |= choice.admit(layer, keyframe) != Admission::Drop;
            }
            if wanted {
                nodes.push(peer.node);
            }
        }
    }

    /// The layers this shard's viewers want at most: what is asked of the origin of a remote track.
    #[must_use]
    pub fn viewers_demand(&self) -> LayerSet {
        self.legs
            .iter()
            .filter_map(|leg| leg.choice.demand())
            .fold(LayerSet::NONE, LayerSet::with)
    }

    /// Whether somebody, here or behind a peer, receives the track and nobody did before. True once.
    pub fn poll_first_receiver(&mut self) -> bool {
        let received = self.legs.iter().any(|leg| leg.connected) || !self.peers.is_empty();
        received && !std::mem::replace(&mut self.told_received, true)
    }

    /// The layers of a local picture its publisher should send now, where that has changed since the last call: those
    /// that anybody on any node wants, and below one that is wanted and does not come (the publisher has no room for
    /// it) the next smaller one. More is wanted at once, less only after a while.
    pub fn poll_publishing(&mut self, now: Instant) -> Option<LayerSet> {
        if self.kind() == MediaKind::Audio || self.muted {
            return None;
        }
        let top = Layer(self.identity.picture.layers.clamp(1, MAX_LAYERS) as u8 - 1);
        let of_peers = self.peers.iter().flat_map(|peer| peer.wanted.iter().flatten());
        let choices = self.legs.iter().map(|leg| &leg.choice).chain(of_peers);
        let mut wanted = choices
            .filter_map(LayerChoice::demand)
            .fold(LayerSet::NONE, |set, layer| set.with(layer.min(top)));
        for layer in (1..=top.0).rev().map(Layer) {
            if wanted.contains(layer) && !self.activity.is_alive(layer, now) {
                wanted = wanted.with(Layer(layer.0 - 1));
            }
        }
        self.publishing.update(now, wanted)
    }

    /// Somebody downstream needs a keyframe of `layer`, or of what comes nearest below.
    pub fn want_keyframe(&mut self, layer: Layer, now: Instant) {
        let layer = self
            .activity
            .best(layer, now)
            .or_else(|| self.activity.latest(layer))
            .unwrap_or(Layer(0));
        self.layers[usize::from(layer.0)].keyframe.want();
    }
}

/// Whether anybody gets this layer now.
fn has_receiver(legs: &[Leg], peers: &[PeerDemand], layer: Layer) -> bool {
    let of_peers = peers.iter().flat_map(|peer| peer.wanted.iter().flatten());
    legs.iter()
        .map(|leg| &leg.choice)
        .chain(of_peers)
        .any(|choice| choice.current() == Some(layer))
}
