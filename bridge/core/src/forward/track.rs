//! A published track: its layers, its viewers on this shard, and the nodes its media goes to next.

mod layer_state;
mod offered;
mod picture;

use super::cache::{PacketCache, PacketMeta};
pub use super::clock::Clock;
use super::layer::{LayerActivity, LayerChoice};
use super::leg::Leg;
use super::nack::NackPolicy;
use super::peers::Peers;
use super::publishing::Publishing;
use super::svc::SvcPosition;
use crate::allocation::Class;
use crate::red;
use relay_proto::id::{Layer, LayerSet, MAX_LAYERS, NodeId, ParticipantSid, TrackAlias, TrackSid};
use relay_proto::room::{Codec, MediaKind};
use relay_proto::unit::MediaSeq;
use std::time::Instant;

pub use layer_state::LayerState;
pub use picture::Picture;

/// Packets kept per video layer: about a second at 4 Mbit/s.
pub(super) const VIDEO_WINDOW: usize = 512;
/// Packets kept per audio track: about two seconds.
const AUDIO_WINDOW: usize = 128;

/// So many packets missing right before a keyframe are a layer that had stopped, not a loss worth repairing.
const STOPPED: u32 = 32;

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

/// A packet on its way in.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Layer.
    pub layer: Layer,
    /// Header facts; `seq` already extended.
    pub meta: PacketMeta,
    /// Its dependency descriptor, at most [`relay_proto::datagram::MAX_DESCRIPTOR_BYTES`]; empty where it has none.
    pub descriptor: &'a [u8],
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
    /// What is demanded until then at the latest, although nobody here receives it yet.
    pub awaited: Option<(Layer, Instant)>,
    /// What the publisher of a local track has been told to send.
    publishing: Publishing,
    activity: LayerActivity,
    /// The nodes its media goes to next.
    pub peers: Peers,
    /// Of a track of another node: from whom its media comes, and whom feedback goes to.
    pub parent: NodeId,
    /// From whom it came before: what is under way counts, and that one goes on until the parent does.
    parent_before: Option<NodeId>,
    /// The node is told of the first packet from the parent.
    pub parent_awaited: bool,
    /// Number of the newest sender report that has gone on.
    pub newest_clock: Option<MediaSeq>,
    offered: offered::Offered,
    /// What it is to viewers who have not said what they look at; as of the last review.
    pub class: Class,
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
            parent: identity.origin,
            parent_before: None,
            parent_awaited: false,
            newest_clock: None,
            identity,
            source,
            muted,
            repaired: true,
            layers: std::array::from_fn(|_| LayerState::new(policy)),
            legs: Vec::new(),
            fresh: Vec::new(),
            told_demand: LayerSet::NONE,
            told_received: false,
            awaited: None,
            publishing: Publishing::default(),
            activity: LayerActivity::default(),
            peers: Peers::default(),
            offered: offered::Offered::everything(),
            class: Class::Other,
        }
    }

    /// Sound or pictures.
    #[must_use]
    pub const fn kind(&self) -> MediaKind {
        self.identity.codec.kind()
    }

    /// The stream a layer comes in: its own, or the one all layers share.
    #[must_use]
    pub const fn stream_of(&self, layer: Layer) -> Layer {
        if self.identity.picture.nested {
            Layer(0)
        } else {
            layer
        }
    }

    /// Extends a client's sequence number in its layer.
    pub fn extend(&mut self, layer: Layer, seq: u16) -> MediaSeq {
        self.layers[usize::from(layer.0).min(MAX_LAYERS - 1)]
            .extender
            .extend(seq)
    }

    /// Takes a packet in: stores it, notes gaps, and marks it for this batch's fan-out. False where it is a
    /// duplicate, too old, muted, or of a layer that does not exist. Hot path: one copy, no allocation in steady state.
    pub fn ingest(&mut self, now: Instant, mut packet: Incoming<'_>) -> bool {
        if self.muted {
            // Not kept either: what is kept could be asked for as if it had been lost.
            return false;
        }
        let kind = self.kind();
        let nested = self.identity.picture.nested;
        let said_keyframe = packet.meta.keyframe;
        let Some(layer) = self.layers.get_mut(usize::from(packet.layer.0)) else {
            return false;
        };
        if !packet.descriptor.is_empty() {
            layer.describe(&mut packet.meta, packet.descriptor);
            if self.source == Source::Remote {
                // What its origin has said of it goes on with it, in a repair too.
                packet.meta.keyframe = said_keyframe;
            }
        } else if kind == MediaKind::Video {
            packet.meta.position = SvcPosition::of_payload(self.identity.codec, packet.payload);
        }
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
        if !cache.insert(packet.meta, packet.descriptor, packet.payload) {
            return false;
        }
        let begins = packet.meta.keyframe && kind == MediaKind::Video;
        let of_layer = (!nested).then_some(packet.layer);
        if begins
            && (!has_receiver(&self.legs, &self.peers, of_layer)
                || layer.nack.misses(packet.meta.seq, STOPPED))
        {
            // Whoever takes up the layer does so here: what was sent before it is of no use. Nor is it where it had stopped.
            layer.nack.restart();
        }
        layer.nack.received(packet.meta.seq, now);
        if layer.nack.take_overrun() {
            layer.keyframe.want();
        }
        let chosen = if nested {
            Layer(packet.meta.position.spatial)
        } else {
            packet.layer
        };
        let bytes = packet.payload.len() + picture::WIRE_OVERHEAD_BYTES;
        let counted = &mut self.layers[usize::from(chosen.0)];
        counted.meter.count(bytes, packet.meta.time);
        counted.shares.count(packet.meta.position.temporal, bytes);
        if self.activity.touch(chosen, now) {
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
        let nested = self.identity.picture.nested;
        let stream_of = |layer| if nested { Layer(0) } else { layer };
        let legs = self.legs.iter_mut().filter(|leg| leg.connected);
        for choice in legs.map(|leg| &mut leg.choice) {
            if let Some(layer) = choice.retarget(&self.activity, now) {
                let stream = stream_of(layer);
                self.layers[usize::from(stream.0)].keyframe.want();
                in_use = in_use.with(stream);
            }
            in_use = choice
                .current()
                .map(stream_of)
                .into_iter()
                .fold(in_use, LayerSet::with);
        }
        let layers = &mut self.layers;
        self.peers.retarget(&self.activity, now, |layer, waits| {
            let stream = stream_of(layer);
            in_use = in_use.with(stream);
            if waits {
                layers[usize::from(stream.0)].keyframe.want();
            }
        });
        for (layer, state) in (0..).map(Layer).zip(&mut self.layers) {
            if !in_use.contains(layer) {
                state.keyframe.give_up();
            }
        }
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
        self.peers.restart();
    }

    /// Sets what a node wants of this track; see [`Peers::set`].
    pub fn set_peer_demand(&mut self, node: NodeId, layers: LayerSet, goes_on: bool, now: Instant) {
        self.peers
            .set(node, layers, self.identity.picture.nested, goes_on);
        self.retarget(now);
    }

    /// Nodes that want something of this track.
    pub fn demanding_nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.nodes()
    }

    /// Who gets a packet of `layer` next; see [`Peers::next_hops`].
    pub fn next_hops(&mut self, layer: Layer, meta: &PacketMeta, nodes: &mut Vec<NodeId>) {
        let nested = self.identity.picture.nested;
        self.peers
            .next_hops((layer, meta.position, meta.keyframe), nested, nodes);
    }

    /// The layers this shard's viewers want at most, and the one awaited for them: what is asked of the origin of a remote track.
    #[must_use]
    pub fn viewers_demand(&self) -> LayerSet {
        let awaited = self.awaited.map(|(layer, _)| layer);
        self.legs
            .iter()
            .filter_map(|leg| leg.choice.demand())
            .chain(awaited)
            .fold(LayerSet::NONE, LayerSet::with)
    }

    /// Whether its viewers have been awaited long enough. True once.
    pub fn poll_awaited(&mut self, now: Instant) -> bool {
        self.awaited.take_if(|(_, until)| *until <= now).is_some()
    }

    /// Whether somebody, here or behind a peer, receives the track and nobody did before. True once.
    pub fn poll_first_receiver(&mut self) -> bool {
        let received = self.legs.iter().any(|leg| leg.connected) || !self.peers.is_empty();
        received && !std::mem::replace(&mut self.told_received, true)
    }

    /// Somebody downstream needs a keyframe of `layer`, or of what comes nearest below.
    pub fn want_keyframe(&mut self, layer: Layer, now: Instant) {
        let layer = self
            .activity
            .best(layer, now)
            .or_else(|| self.activity.latest(layer))
            .unwrap_or(Layer(0));
        let stream = self.stream_of(layer);
        self.layers[usize::from(stream.0)].keyframe.want();
    }
}

/// Whether anybody gets this layer now, or any.
fn has_receiver(legs: &[Leg], peers: &Peers, layer: Option<Layer>) -> bool {
    legs.iter()
        .map(|leg| &leg.choice)
        .chain(peers.choices())
        .filter_map(LayerChoice::current)
        .any(|current| layer.is_none_or(|layer| current == layer))
}
