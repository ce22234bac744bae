//! Steps between two nodes that come in order and once, whatever happens to their link: `relay-proto/WIRE.md`, section 4d.
//!
//! ```text
//! flow    linked   matching Standing   cut
//! Cut     Asked    -                   -
//! Asked   Asked    Open (send again)   Cut
//! Open    Asked    Open (forget)       Cut
//! ```
//! Both ends also agree on whom they speak to: each has a number that grows when it forgets the other.

use relay_proto::codec::MAX_FRAME_BYTES;
use relay_proto::room::DataMessage;
use relay_proto::session::{RoomChange, SessionCommand, SessionFact};
use relay_proto::steering::{SteeringMessage, SteeringStep};
use std::collections::VecDeque;

/// More than any step takes that our own limits let through, and less than a frame holds.
const LARGEST_STEP: usize = MAX_FRAME_BYTES - (64 << 10);
/// Steps received before they are confirmed at once, not at the next occasion.
const CONFIRM_EVERY: u64 = 32;

/// Whether steps may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// There is no link.
    Cut,
    /// The other end was asked what it has.
    Asked,
    /// It has answered.
    Open,
}

/// A step the other end has not confirmed.
#[derive(Debug)]
struct Unconfirmed {
    number: u64,
    step: SteeringStep,
    bytes: usize,
}

/// One end of the steps between two nodes.
#[derive(Debug)]
pub(super) struct Channel {
    /// Under which number we speak.
    own: u64,
    /// Whom we listen to, once we have heard it.
    peer: Option<u64>,
    flow: Flow,
    unconfirmed: VecDeque<Unconfirmed>,
    unconfirmed_bytes: usize,
    sent: u64,
    received: u64,
    /// How much of that the other end has been told.
    confirmed: u64,
}

/// Where the other end stands: the fields of [`SteeringMessage::Standing`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) own: u64,
    pub(super) hears: u64,
    pub(super) received: u64,
    pub(super) asks: bool,
}

/// What a message of the other end leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// The other end has begun anew: all sessions between the two are over.
    pub(super) anew: bool,
    /// To be sent.
    pub(super) replies: Vec<SteeringMessage>,
}

/// What a step leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is the next one.
    Next(SteeringStep),
    /// It has come before, or was meant for a former self.
    Old,
    /// Steps before it are missing.
    Gap,
}

/// What became of a step that was to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Send it.
    Send(SteeringMessage),
    /// It waits for the link.
    Waits,
    /// Nobody listens, or it may be lost and too much waits.
    Dropped,
    /// Too much waits: the other end cannot be kept in step.
    Overflow,
}

impl Channel {
    /// An end that has heard nothing yet and speaks as `own`, which nobody of its node has been to that peer.
    pub(super) const fn new(own: u64) -> Self {
        Self {
            own,
            peer: None,
            flow: Flow::Cut,
            unconfirmed: VecDeque::new(),
            unconfirmed_bytes: 0,
            sent: 0,
            received: 0,
            confirmed: 0,
        }
    }

    /// Whether both ends know each other: sessions may be opened.
    pub(super) fn is_open(&self) -> bool {
        self.flow == Flow::Open
    }

    /// There is a (new) link: what is to be said first on it.
    pub(super) const fn linked(&mut self) -> SteeringMessage {
        self.flow = Flow::Asked;
        self.standing(true)
    }

    /// The link is gone.
    pub(super) const fn cut(&mut self) {
        self.flow = Flow::Cut;
    }

    /// Forgets the other end and speaks as `own` from now on. What is to be said, where there is a link.
    pub(super) fn begin_anew(&mut self, own: u64) -> Option<SteeringMessage> {
        self.own = own;
        self.forget();
        (self.flow != Flow::Cut).then(|| self.standing(true))
    }

    fn forget(&mut self) {
        self.peer = None;
        if self.flow == Flow::Open {
            self.flow = Flow::Asked;
        }
        self.unconfirmed.clear();
        self.unconfirmed_bytes = 0;
        (self.sent, self.received, self.confirmed) = (0, 0, 0);
    }

    const fn standing(&mut self, asks: bool) -> SteeringMessage {
        self.confirmed = self.received;
        let hears = match self.peer {
            Some(peer) => peer,
            None => 0,
        };
        SteeringMessage::Standing {
            own: self.own,
            hears,
            received: self.received,
            asks,
        }
    }

    /// Takes a step to the other end. With more than `max_bytes` waiting to be confirmed there is an overflow; from half of
    /// that on, what may be lost is.
    pub(super) fn push(&mut self, step: SteeringStep, max_bytes: usize) -> Pushed {
        let Some(to) = self.peer else {
            return Pushed::Dropped;
        };
        let bytes = weight(&step);
        if bytes > LARGEST_STEP {
            return Pushed::Dropped;
        }
        let waiting = self.unconfirmed_bytes + bytes;
        if waiting > max_bytes / 2 && may_be_lost(&step) {
            return Pushed::Dropped;
        }
        if waiting > max_bytes {
            return Pushed::Overflow;
        }
        self.sent += 1;
        let number = self.sent;
        let pushed = match self.flow {
            Flow::Open => Pushed::Send(SteeringMessage::Step {
                to,
                number,
                step: step.clone(),
            }),
            Flow::Cut | Flow::Asked => Pushed::Waits,
        };
        self.unconfirmed_bytes = waiting;
        self.unconfirmed.push_back(Unconfirmed { number, step, bytes });
        pushed
    }

    /// The other end says where it stands. If we have to begin anew, we speak as `fresh` from then on.
    pub(super) fn on_standing(&mut self, standing: Standing, fresh: u64) -> Heard {
        let Standing {
            own: theirs,
            hears,
            received,
            asks,
        } = standing;
        let hears_us = hears == self.own;
        let before = self.peer;
        let anew = before.is_some_and(|peer| peer != theirs);
        if anew {
            if !hears_us {
                self.own = fresh;
            }
            self.forget();
        }
        // Whoever speaks to a former self of ours will hear of us, and take another number.
        if anew || (before.is_none() && (hears_us || hears == 0)) {
            self.peer = Some(theirs);
        }
        let mut replies = Vec::new();
        if asks || self.peer != before {
            replies.push(self.standing(false));
        }
        if hears_us && self.peer == Some(theirs) {
            self.confirm(received);
            if self.flow == Flow::Asked {
                self.flow = Flow::Open;
                replies.extend(self.again(theirs));
            }
        }
        Heard { anew, replies }
    }

    fn confirm(&mut self, received: u64) {
        while self
            .unconfirmed
            .front()
            .is_some_and(|first| first.number <= received)
        {
            if let Some(first) = self.unconfirmed.pop_front() {
                self.unconfirmed_bytes -= first.bytes;
            }
        }
    }

    fn again(&self, to: u64) -> impl Iterator<Item = SteeringMessage> + '_ {
        self.unconfirmed.iter().map(move |waiting| SteeringMessage::Step {
            to,
            number: waiting.number,
            step: waiting.step.clone(),
        })
    }

    /// A step of the other end.
    pub(super) fn on_step(&mut self, to: u64, number: u64, step: SteeringStep) -> Taken {
        if to != self.own || self.peer.is_none() || number <= self.received {
            return Taken::Old;
        }
        if number != self.received + 1 {
            return Taken::Gap;
        }
        self.received = number;
        Taken::Next(step)
    }

    /// Confirms what has come, where that is `due` or has become much.
    pub(super) fn confirmation(&mut self, due: bool) -> Option<SteeringMessage> {
        let unsaid = self.received - self.confirmed;
        let wanted = unsaid >= CONFIRM_EVERY || (due && unsaid > 0);
        (wanted && self.flow != Flow::Cut).then(|| self.standing(false))
    }
}

/// Whether a step is worth nothing if it comes late, and the next one of its kind makes up for it.
const fn may_be_lost(step: &SteeringStep) -> bool {
    match step {
        SteeringStep::Command(command) => matches!(
            &**command,
            SessionCommand::SendData {
                message: DataMessage { reliable: false, .. },
                ..
            }
        ),
        SteeringStep::Fact(fact) => matches!(
            &**fact,
            SessionFact::DataReceived { reliable: false, .. }
                | SessionFact::RoomChanged {
                    change: RoomChange::SpeakersChanged(_),
                    ..
                }
        ),
    }
}

/// Bytes a step takes, roughly and rather too many.
fn weight(step: &SteeringStep) -> usize {
    const STEP: usize = 256;
    const RECORD: usize = 1_024;
    let more = match step {
        SteeringStep::Command(command) => match &**command {
            SessionCommand::OpenSession(open) => RECORD + crate::mesh::publish::text_bytes(&open.participant),
            SessionCommand::ApplyOffer { sdp, .. } | SessionCommand::ApplyAnswer { sdp, .. } => sdp.len(),
            SessionCommand::SendData { message, .. } | SessionCommand::SendReliable { message, .. } => {
                message.payload.len() + 64 * message.to.len()
            }
            SessionCommand::UpdateParticipant {
                metadata, attributes, ..
            } => metadata.as_ref().map_or(0, String::len) + 1_024 * attributes.len(),
            SessionCommand::SetSubscription { tracks, .. } | SessionCommand::SetTrackWish { tracks, .. } => {
                32 * tracks.len()
            }
            SessionCommand::ReplayData { after, .. } => 32 * after.len(),
            _ => RECORD,
        },
        SteeringStep::Fact(fact) => match &**fact {
            SessionFact::SessionOpened { others, .. } => {
                let records = others.iter();
                records
                    .map(|record| RECORD + crate::mesh::publish::text_bytes(record))
                    .sum()
            }
            SessionFact::OfferAnswered { sdp, sections, .. }
            | SessionFact::OfferMade { sdp, sections, .. } => sdp.len() + 32 * sections.len(),
            SessionFact::DataReceived { payload, .. } => payload.len(),
            SessionFact::RoomChanged { change, .. } => match change {
                RoomChange::ParticipantUpserted(record) => RECORD + crate::mesh::publish::text_bytes(record),
                RoomChange::SpeakersChanged(levels) => 32 * levels.len(),
                _ => RECORD,
            },
            _ => RECORD,
        },
    };
    STEP + more
}
