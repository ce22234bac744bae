//! The signalling of one full client, from the first dial to the last word.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::mpsc::Sender;
use std::time::Instant;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep_until;
use webrtc::peer_connection::RTCPeerConnectionState;

use super::peer::Peer;
use super::{ClientFailure, Command, FullOrder, Said};
use crate::client::Source;
use crate::signalling::{Connection, Event, Join, Participant, Request, SignallingError};

/// Sections to receive on in the first offer, sound and pictures each.
const FIRST_SECTIONS: usize = 3;
/// Cameras a client asks a size for.
const MOST_CAMERAS: usize = 4_096;

struct Session<'f> {
    order: FullOrder,
    peer: Peer,
    connection: Connection,
    dialled_at: Instant,
    offer_id: u32,
    /// An offer whose answer has not come; the next one waits until then.
    asked: bool,
    offer_wanted: bool,
    /// Cameras whose size has been asked for, by the server's ids.
    sized: BTreeSet<String>,
    connected: bool,
    facts: &'f Sender<Said>,
}

/// What happened next.
enum Next {
    Ready,
    Due,
    State(RTCPeerConnectionState),
    Told(Option<Command>),
}

/// Joins, looks on, answers commands, and leaves when there can be no more of them.
pub(super) async fn attend(
    order: FullOrder,
    mut commands: UnboundedReceiver<Command>,
    facts: &Sender<Said>,
) -> Result<(), ClientFailure> {
    if let Some(entrance) = &order.entrance {
        // For all of this thread: full clients are in one region.
        entrance.enter()?;
    }
    let peer = Peer::new(order.endpoint.address, FIRST_SECTIONS).await?;
    let dialled_at = Instant::now();
    let join = Join {
        offer_id: 1,
        sdp: peer.offer().await?,
        tracks: Vec::new(),
        follows: false,
    };
    let connection = Connection::dial(&order.endpoint, &order.token, join, dialled_at)?;
    let mut session = Session {
        order,
        peer,
        connection,
        dialled_at,
        offer_id: 1,
        asked: true,
        offer_wanted: false,
        sized: BTreeSet::new(),
        connected: false,
        facts,
    };
    let outcome = session.follow(&mut commands).await;
    session.peer.close().await;
    outcome
}

impl Session<'_> {
    async fn follow(&mut self, commands: &mut UnboundedReceiver<Command>) -> Result<(), ClientFailure> {
        loop {
            while let Some(event) = self.connection.poll_event() {
                self.handle_event(event).await?;
            }
            let due = self.connection.poll_timeout();
            let next = tokio::select! {
                ready = ready(&self.connection) => ready.map(|()| Next::Ready)?,
                () = async { match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => pending().await,
                } } => Next::Due,
                state = self.peer.next_state() => Next::State(state),
                command = commands.recv() => Next::Told(command),
            };
            match next {
                Next::Ready => self.connection.handle_ready(Instant::now()),
                Next::Due => self.connection.handle_timeout(Instant::now()),
                Next::State(state) => self.take_state(state)?,
                Next::Told(Some(Command::Restart)) => self.peer.restart().await,
                Next::Told(Some(Command::Finish)) => {
                    let figures = self.peer.figures(self.order.id).await;
                    self.tell(Said::Figures(figures));
                }
                Next::Told(None) => {
                    self.connection.send(Request::Leave);
                    return Ok(());
                }
            }
        }
    }

    async fn handle_event(&mut self, event: Event) -> Result<(), ClientFailure> {
        match event {
            Event::Joined { others, .. } | Event::Participants(others) => self.look_at(&others),
            Event::Answer { id, sdp, .. } if self.asked && id == self.offer_id => {
                self.asked = false;
                self.peer.take_answer(sdp).await?;
                self.send_offer().await?;
            }
            Event::MediaSectionsRequired { audios, videos } => {
                self.peer.add_sections(audios, videos).await?;
                self.offer_wanted = true;
                self.send_offer().await?;
            }
            Event::Left { reason, .. } => return Err(ClientFailure::SentAway(reason)),
            Event::Closed(error) => return Err(error.into()),
            Event::Answer { .. } | Event::TrackPublished { .. } => {}
        }
        Ok(())
    }

    async fn send_offer(&mut self) -> Result<(), ClientFailure> {
        if self.offer_wanted && !self.asked {
            self.offer_wanted = false;
            self.asked = true;
            self.offer_id += 1;
            let (id, sdp) = (self.offer_id, self.peer.offer().await?);
            self.connection.send(Request::Offer { id, sdp });
        }
        Ok(())
    }

    fn take_state(&mut self, state: RTCPeerConnectionState) -> Result<(), ClientFailure> {
        match state {
            RTCPeerConnectionState::Connected if !self.connected => {
                self.connected = true;
                self.tell(Said::Connected {
                    id: self.order.id,
                    after: self.dialled_at.elapsed(),
                });
                Ok(())
            }
            RTCPeerConnectionState::Failed => Err(ClientFailure::Disconnected("failed")),
            RTCPeerConnectionState::Closed => Err(ClientFailure::Disconnected("closed")),
            _ => Ok(()),
        }
    }

    /// Asks for every new camera in the size of the order.
    fn look_at(&mut self, others: &[Participant]) {
        let tracks = others
            .iter()
            .filter(|other| !other.gone)
            .flat_map(|other| &other.tracks);
        let cameras = tracks.filter(|track| track.source == Some(Source::Camera));
        let mut sids = Vec::new();
        for camera in cameras {
            if self.sized.len() < MOST_CAMERAS && self.sized.insert(camera.sid.clone()) {
                sids.push(camera.sid.clone());
            }
        }
        if !sids.is_empty() {
            let picture = Some(self.order.picture);
            self.connection.send(Request::TrackSetting { sids, picture });
        }
    }

    fn tell(&self, said: Said) {
        // Whoever no longer listens has ended the run.
        let _ = self.facts.send(said);
    }
}

/// Waits until the connection can go on. Registered anew for each wait, so that what an earlier turn has left unread is
/// seen: the event loop tells of changes only.
async fn ready(connection: &Connection) -> Result<(), ClientFailure> {
    let socket = connection.socket().ok_or(SignallingError::Closed)?;
    let wanted = connection.interest();
    let interest = match (wanted.read, wanted.write) {
        (true, true) => Interest::READABLE | Interest::WRITABLE,
        (false, true) => Interest::WRITABLE,
        (_, false) => Interest::READABLE,
    };
    let socket = TcpStream::from_std(socket.try_clone_to_owned()?.into())?;
    socket.ready(interest).await?;
    Ok(())
}
