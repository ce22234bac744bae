//! One participant: a light client, its signalling and its socket, from the first dial to the last word.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::layout::{Layout, wanted_layer};
use super::socket::{MediaSocket, ReadBuffer, SocketCounters};
use super::{Fact, Figures, Outcome, SentSoFar};
use crate::client::{self, Client, ClientError, Identity, LegKey, Now, Setup, Shown, Source};
use crate::sdp::{Answer, Offer, OfferSection};
use crate::signalling::{
    Connection, Endpoint, Event, Interest, Join, Participant as Other, Picture, PublishedTrack, Request,
    SignallingError,
};
use crate::target::Entrance;
use crate::trace::{Trace, TraceKind};

/// Sections to receive on in the first offer, sound and pictures each, as clients of the protocol begin.
const FIRST_SECTIONS: usize = 3;

/// Whom to let into a room, and what they do there.
#[derive(Clone, Debug)]
pub struct Order {
    /// What the client is.
    pub setup: Setup,
    /// The server.
    pub endpoint: Endpoint,
    /// Token for the room.
    pub token: String,
    /// Who it is there; participants of one run are told apart by it.
    pub identity: String,
    /// Region, by its place in the scenario.
    pub region: u16,
    /// Which pictures it wants.
    pub layout: Layout,
    /// The way there, if that is not where this process is.
    pub entrance: Option<Entrance>,
    /// Address of its socket.
    pub local: IpAddr,
    /// Whether it goes where the server sends it, and lets go of the old place only when it hears something at the new one.
    pub follows: bool,
}

/// The clocks, read once.
pub(super) fn now() -> Now {
    Now {
        at: Instant::now(),
        unix_ns: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64),
    }
}

/// A track of somebody else, by the server's id.
struct Known {
    key: LegKey,
    /// What we asked for; `None` for not at all.
    wanted: Option<u8>,
    /// Whether the server has been told.
    told: bool,
}

/// A participant of a run.
pub(super) struct Participant {
    order: Order,
    client: Client,
    connection: Connection,
    socket: MediaSocket,
    offer: Offer,
    mids: BTreeMap<Source, String>,
    /// An offer whose answer has not come; a second one waits until then.
    asked: Option<u32>,
    offer_wanted: bool,
    /// Offers made since the figures began, and bytes of these and of their answers.
    offers: (u64, u64),
    dialled_at: Instant,
    connected: bool,
    first_frame: bool,
    first_sound: bool,
    first_picture: bool,
    tracks: BTreeMap<String, Known>,
    sent_away: bool,
    pub(super) over: bool,
}

impl Participant {
    /// Dials.
    pub(super) fn dial(order: Order, identity: &Identity) -> Result<Self, Outcome> {
        let now = now();
        let client = Client::new(order.setup.clone(), identity, now);
        let mut offer = Offer::new(client.credentials().clone(), client.fingerprint());
        offer.add_receivers(FIRST_SECTIONS, FIRST_SECTIONS);
        let (mut mids, mut tracks) = (BTreeMap::new(), Vec::new());
        for source in &order.setup.sources {
            let cid = format!("{}-{:?}", order.identity, source.source);
            let section = OfferSection::Send {
                cid: cid.clone(),
                codec: source.codec,
                rids: source.rids(),
                ssrc: client.ssrc_of(source.source).unwrap_or(0),
            };
            mids.extend(offer.add(section).map(|mid| (source.source, mid)));
            tracks.push(PublishedTrack {
                cid,
                source: source.source,
                layers: pictures(source),
            });
        }
        let (offer_id, sdp) = offer.write();
        let sdp_bytes = sdp.len() as u64;
        let join = Join {
            offer_id,
            sdp,
            tracks,
            follows: order.follows,
        };
        if let Some(entrance) = &order.entrance {
            // The thread stays there: all it does for others is with sockets that are open already.
            let entered = entrance.enter();
            entered.map_err(|error| Outcome::Socket(error.to_string()))?;
        }
        let socket = MediaSocket::bind(order.local).map_err(|error| Outcome::Socket(error.to_string()))?;
        let connection =
            Connection::dial(&order.endpoint, &order.token, join, now.at).map_err(Outcome::Signalling)?;
        Ok(Self {
            order,
            client,
            connection,
            socket,
            offer,
            mids,
            asked: Some(offer_id),
            offer_wanted: false,
            offers: (1, sdp_bytes),
            dialled_at: now.at,
            connected: false,
            first_frame: false,
            first_sound: false,
            first_picture: false,
            tracks: BTreeMap::new(),
            sent_away: false,
            over: false,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.order.setup.id
    }

    pub(super) fn region(&self) -> u16 {
        self.order.region
    }

    pub(super) fn media(&self) -> &MediaSocket {
        &self.socket
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn interest(&self) -> Interest {
        self.connection.interest()
    }

    /// Which layer is wanted of a sender.
    pub(super) fn wanted(&self, key: LegKey) -> Option<u8> {
        self.tracks.values().find(|known| known.key == key)?.wanted
    }

    /// Reads the socket.
    pub(super) fn handle_media(&mut self, buffer: &mut ReadBuffer) {
        let now = now();
        let client = &mut self.client;
        self.socket.receive(buffer, |from, arrived, datagram| {
            client.handle_datagram(now, arrived.unwrap_or(now.unix_ns), from, datagram);
        });
    }

    pub(super) fn handle_signalling(&mut self) {
        self.connection.handle_ready(Instant::now());
    }

    pub(super) fn handle_timeout(&mut self) {
        let now = now();
        self.connection.handle_timeout(now.at);
        self.client.handle_timeout(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.connection
            .poll_timeout()
            .into_iter()
            .chain(self.client.poll_timeout())
            .min()
    }

    /// Sends what waits and tells what has happened.
    pub(super) fn pump(&mut self, identities: &BTreeMap<String, u32>, facts: &mut Vec<Fact>) {
        while let Some(event) = self.connection.poll_event() {
            self.handle_event(event, identities, facts);
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                client::Event::Connected => {
                    self.connected = true;
                    facts.push(Fact::Connected {
                        id: self.id(),
                        after: self.dialled_at.elapsed(),
                    });
                }
                client::Event::Failed(error) => self.end(Outcome::Media(error), facts),
            }
        }
        while let Some(burst) = self.client.poll_transmit() {
            self.socket.send(&burst);
            self.client.recycle(burst);
        }
    }

    /// Frames shown since the last call.
    pub(super) fn take_shown(&mut self, into: &mut Vec<Shown>, facts: &mut Vec<Fact>) {
        let before = into.len();
        self.client.take_shown(into);
        if !self.first_frame && into.len() > before {
            self.first_frame = true;
            facts.push(Fact::FirstFrame {
                id: self.id(),
                after: self.dialled_at.elapsed(),
            });
        }
        let is_picture = |shown: &Shown| shown.key.source != Source::Audio.number();
        self.first_sound |= !into[before..].iter().all(is_picture);
        if !self.first_picture && into[before..].iter().any(is_picture) {
            self.first_picture = true;
            facts.push(Fact::FirstPicture {
                id: self.id(),
                after: self.dialled_at.elapsed(),
            });
        }
    }

    /// Whether it has heard anybody.
    pub(super) fn hears(&self) -> bool {
        self.first_sound
    }

    pub(super) fn set_active(&mut self, source: Source, active: bool) {
        self.client.set_active(source, active);
    }

    pub(super) fn restart_figures(&mut self) {
        self.client.restart_figures();
        self.offers = (0, 0);
        self.socket.counters = SocketCounters::default();
    }

    /// Says goodbye; the server's answer is not waited for.
    pub(super) fn leave(&mut self, facts: &mut Vec<Fact>) {
        self.connection.send(Request::Leave);
        self.end(Outcome::Left, facts);
    }

    /// Everything measured. `still_sending` says which senders were sending until the end.
    pub(super) fn figures(&mut self, still_sending: &dyn Fn(LegKey) -> bool) -> Figures {
        if !self.over {
            self.client.end_figures(Instant::now(), still_sending);
        }
        let sent = self.order.setup.sources.iter().filter_map(|source| {
            let (sequence, _) = self.client.sent(source.source)?;
            Some((source.source, sequence))
        });
        Figures {
            id: self.id(),
            legs: self.client.legs().clone(),
            sent: sent.collect(),
            audio: self.client.stream_counters(true),
            video: self.client.stream_counters(false),
            receiver: self.client.receiver_counters(),
            offers: self.offers.0,
            offer_bytes: self.offers.1,
            received: self.socket.counters.received,
            received_bytes: self.socket.counters.received_bytes,
            sent_packets: self.socket.counters.sent,
            send_failed: self.socket.counters.send_failed,
        }
    }

    /// Number of the newest frame of each source, for what a receiver should have got.
    pub(super) fn sent(&self) -> impl Iterator<Item = SentSoFar> + '_ {
        self.order.setup.sources.iter().filter_map(|source| {
            let (sequence, active) = self.client.sent(source.source)?;
            let key = LegKey {
                sender: self.id(),
                source: source.source.number(),
            };
            Some(SentSoFar {
                key,
                sequence,
                sending: active && self.connected && !self.over,
                talks: if source.source == Source::Audio {
                    self.client.talks().to_vec()
                } else {
                    Vec::new()
                },
            })
        })
    }

    fn end(&mut self, outcome: Outcome, facts: &mut Vec<Fact>) {
        if !self.over {
            self.over = true;
            facts.push(Fact::Ended {
                id: self.id(),
                outcome,
            });
        }
    }

    fn handle_event(&mut self, event: Event, identities: &BTreeMap<String, u32>, facts: &mut Vec<Fact>) {
        match event {
            Event::Joined { others, .. } => {
                facts.push(Fact::Joined {
                    id: self.id(),
                    after: self.dialled_at.elapsed(),
                });
                self.learn(&others, identities);
            }
            Event::Answer { id, sdp, .. } => self.take_answer(id, &sdp, facts),
            Event::Participants(others) => self.learn(&others, identities),
            Event::MediaSectionsRequired { audios, videos } => {
                self.offer.add_receivers(audios, videos);
                self.offer_wanted = true;
                self.send_offer();
            }
            Event::Left { next, .. } if self.order.follows && self.connected && !next.is_empty() => {
                if !std::mem::replace(&mut self.sent_away, true) {
                    facts.push(Fact::SentAway { id: self.id(), next });
                }
            }
            Event::Left {
                reason, reconnect, ..
            } => self.end(Outcome::SentAway { reason, reconnect }, facts),
            Event::Closed(error) => self.end(Outcome::Signalling(error), facts),
            Event::TrackPublished { .. } => {}
        }
    }

    fn take_answer(&mut self, id: u32, sdp: &str, facts: &mut Vec<Fact>) {
        if self.asked != Some(id) {
            return;
        }
        self.asked = None;
        self.offers.1 += sdp.len() as u64;
        let taken = match Answer::parse(sdp) {
            Ok(answer) => self
                .client
                .set_answer(now(), &answer, &self.mids)
                .map_err(Outcome::Media),
            Err(error) => Err(Outcome::Signalling(SignallingError::Protocol(error.to_string()))),
        };
        if let Err(outcome) = taken {
            return self.end(outcome, facts);
        }
        self.send_offer();
    }

    fn send_offer(&mut self) {
        if self.offer_wanted && self.asked.is_none() {
            self.offer_wanted = false;
            let (id, sdp) = self.offer.write();
            self.asked = Some(id);
            self.offers.0 += 1;
            self.offers.1 += sdp.len() as u64;
            self.connection.send(Request::Offer { id, sdp });
        }
    }

    /// Notes tracks of others and says how large they are wanted.
    fn learn(&mut self, others: &[Other], identities: &BTreeMap<String, u32>) {
        let mut changed = false;
        for other in others
            .iter()
            .filter(|other| other.identity != self.order.identity)
        {
            let Some(sender) = identities.get(&other.identity).copied() else {
                continue;
            };
            if other.gone {
                let before = self.tracks.len();
                self.tracks.retain(|_, known| known.key.sender != sender);
                changed |= self.tracks.len() != before;
                continue;
            }
            for track in &other.tracks {
                let Some(source) = track.source else {
                    continue;
                };
                let key = LegKey {
                    sender,
                    source: source.number(),
                };
                if !self.tracks.contains_key(&track.sid) {
                    self.tracks.insert(
                        track.sid.clone(),
                        Known {
                            key,
                            wanted: None,
                            told: false,
                        },
                    );
                    changed = true;
                }
            }
        }
        if changed {
            self.arrange();
        }
    }

    /// Lays the pictures out: tracks of the same size share a request.
    fn arrange(&mut self) {
        let keys: Vec<LegKey> = self.tracks.values().map(|known| known.key).collect();
        let mut requests: BTreeMap<Option<(u32, u32)>, Vec<String>> = BTreeMap::new();
        let now = Instant::now();
        for (sid, known) in &mut self.tracks {
            if known.key.source == Source::Audio.number() {
                continue;
            }
            let picture = self.order.layout.picture(known.key, &keys);
            let wanted = picture.map(wanted_layer);
            if wanted != known.wanted || !known.told {
                let size = picture.map(|picture| (picture.width, picture.height));
                requests.entry(size).or_default().push(sid.clone());
            }
            known.wanted = wanted;
            known.told = true;
            self.client.set_hidden(now, known.key, wanted.is_none());
        }
        for (size, sids) in requests {
            let picture = size.map(|(width, height)| Picture { width, height });
            self.connection.send(Request::TrackSetting { sids, picture });
        }
    }
}

/// Sizes of the layers of a source, smallest first.
fn pictures(source: &client::SourceSetup) -> Vec<Picture> {
    let size = |kind| {
        let (width, height) = Trace::of(kind).size();
        Picture {
            width: width.into(),
            height: height.into(),
        }
    };
    match source.source {
        Source::Audio => Vec::new(),
        Source::Screen => vec![size(TraceKind::Screen)],
        Source::Camera => (0..source.layers.clamp(1, 3))
            .map(|layer| {
                size(TraceKind::Camera {
                    codec: source.codec,
                    layer,
                })
            })
            .collect(),
    }
}

impl From<ClientError> for Outcome {
    fn from(error: ClientError) -> Self {
        Self::Media(error)
    }
}

/// Longest a worker sleeps, so that seconds of the timeline close.
pub(super) const LONGEST_REST: Duration = Duration::from_millis(250);
