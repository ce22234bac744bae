//! One track on a link: how much each layer takes, and which may cross.

use super::meter::Meter;
use super::{Class, Wish};
use relay_proto::datagram::{Header, Piece};
use relay_proto::id::{Layer, LayerSet, MAX_LAYERS};
use relay_proto::unit::{MediaSeq, RtpTime};
use std::time::{Duration, Instant};

/// A layer that may cross is wished for as long as it comes, or has been allowed for no longer than this: it takes round trips
/// and a keyframe to come.
const WISHED: Duration = Duration::from_secs(2);
/// What a layer takes of which nothing is known but what the next one takes: half of its width and height.
const LAYER_RATIO: u64 = 4;
/// How long a layer that comes without a keyframe waits for one before it is asked for, and asks again.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(500);
/// How soon after its change a restriction that has ended is told again, in case the first time was lost.
const AGAIN: Duration = Duration::from_millis(100);

/// Whether packets of a layer cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// They do.
    Open,
    /// Until the picture under way has ended.
    Ending,
    /// They do not.
    Shut,
    /// From the next keyframe on.
    Waiting,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    gate: Gate,
    meter: Meter,
    newest: Option<MediaSeq>,
    /// The picture that crossed last, and whether more of it is to come.
    picture: RtpTime,
    under_way: bool,
    /// When it last came, or was allowed again.
    wished_at: Option<Instant>,
    asked_at: Option<Instant>,
}

/// One track on a link.
#[derive(Debug)]
pub(super) struct Crossing {
    class: Class,
    allowed: Option<Layer>,
    changed_at: Option<Instant>,
    told_at: Option<Instant>,
    /// It was told that everything crosses, and may have to be told again.
    released: bool,
    came_at: Instant,
    streams: [Stream; MAX_LAYERS],
}

impl Crossing {
    /// A track that may cross whole.
    pub(super) fn new(now: Instant) -> Self {
        let stream = Stream {
            gate: Gate::Open,
            meter: Meter::default(),
            newest: None,
            picture: RtpTime(0),
            under_way: false,
            wished_at: None,
            asked_at: None,
        };
        Self {
            class: Class::Other,
            allowed: Some(Layer::TOP),
            changed_at: None,
            told_at: None,
            released: false,
            came_at: now,
            streams: [stream; MAX_LAYERS],
        }
    }

    pub(super) const fn class(&self) -> Class {
        self.class
    }

    /// The largest layer that may cross.
    pub(super) const fn allowed(&self) -> Option<Layer> {
        self.allowed
    }

    pub(super) fn is_settled(&self, now: Instant, time: Duration) -> bool {
        self.changed_at
            .is_none_or(|at| now.saturating_duration_since(at) >= time)
    }

    /// Whether nothing has to be remembered of it: all may cross, or something may, and nothing has come for `time`.
    pub(super) fn is_over(&self, now: Instant, time: Duration) -> bool {
        let recently = |at: Instant| now.saturating_duration_since(at) < time;
        self.allowed.is_some() && !recently(self.came_at) && !self.changed_at.is_some_and(recently)
    }

    /// Whether a datagram crosses. Hot path.
    pub(super) fn admit(&mut self, now: Instant, class: Class, header: &Header, bytes: usize) -> bool {
        self.class = class;
        self.came_at = now;
        let stream = &mut self.streams[usize::from(header.layer.0).min(MAX_LAYERS - 1)];
        stream.meter.count(bytes);
        stream.wished_at = Some(now);
        if stream.newest.is_none_or(|newest| header.seq > newest) {
            stream.newest = Some(header.seq);
            match stream.gate {
                Gate::Ending if header.time != stream.picture => stream.gate = Gate::Shut,
                Gate::Waiting if header.keyframe => stream.gate = Gate::Open,
                _ => {}
            }
            if stream.crosses() {
                stream.picture = header.time;
                stream.under_way = true;
            }
        }
        let crosses = stream.crosses();
        // What was lost and is sent again ends nothing, unless it is of the picture under way.
        if crosses && header.marker && header.piece != Piece::First && header.time == stream.picture {
            stream.under_way = false;
            if stream.gate == Gate::Ending {
                stream.gate = Gate::Shut;
            }
        }
        crosses
    }

    /// The layer of this datagram, where it comes and waits in vain for a keyframe.
    pub(super) fn poll_keyframe(&mut self, now: Instant, header: &Header) -> Option<Layer> {
        let stream = &mut self.streams[usize::from(header.layer.0).min(MAX_LAYERS - 1)];
        if stream.gate != Gate::Waiting {
            return None;
        }
        let asked_at = *stream.asked_at.get_or_insert(now);
        if now.saturating_duration_since(asked_at) < KEYFRAME_INTERVAL {
            return None;
        }
        stream.asked_at = Some(now);
        Some(header.layer)
    }

    pub(super) fn roll(&mut self, parts: u32) {
        for stream in &mut self.streams {
            stream.meter.roll(parts);
        }
    }

    /// What somebody would like of it; none where nothing comes and nothing is held back.
    pub(super) fn wish(&self, now: Instant) -> Option<Wish> {
        let mut wanted = LayerSet::NONE;
        for (layer, stream) in (0..).map(Layer).zip(&self.streams) {
            let comes = stream
                .wished_at
                .is_some_and(|at| now.saturating_duration_since(at) < WISHED);
            // What is held back does not come, because nobody asks for what they know not to come.
            let held_back = Some(layer) > self.allowed && stream.wished_at.is_some();
            if comes || held_back {
                wanted = wanted.with(layer);
            }
        }
        let max = (0..=Layer::TOP.0)
            .rev()
            .map(Layer)
            .find(|layer| wanted.contains(*layer))?;
        Some(Wish {
            max,
            rates: self.rates(wanted),
        })
    }

    /// What crosses where each layer is the largest that may: whoever wants a larger one then has that one.
    fn rates(&self, wanted: LayerSet) -> [u64; MAX_LAYERS] {
        let each = self.rate_of_each();
        let mut rates = [0; MAX_LAYERS];
        let (mut below, mut least) = (0, 0);
        for at in 0..MAX_LAYERS {
            let above = (at + 1..MAX_LAYERS).any(|higher| wanted.contains(Layer(higher as u8)));
            let own = if above || wanted.contains(Layer(at as u8)) {
                each[at]
            } else {
                0
            };
            least = least.max(below + own);
            rates[at] = least;
            if wanted.contains(Layer(at as u8)) {
                below += each[at];
            }
        }
        rates
    }

    /// What each layer takes: as measured, else as those beside it suggest.
    fn rate_of_each(&self) -> [u64; MAX_LAYERS] {
        let measured = |at: usize| self.streams[at].meter.rate();
        std::array::from_fn(|at| {
            let above = || (at + 1..MAX_LAYERS).find_map(|other| Some((other, measured(other)?)));
            let below = || (0..at).rev().find_map(|other| Some((other, measured(other)?)));
            let ratio = |other: usize| LAYER_RATIO.pow(at.abs_diff(other) as u32);
            measured(at)
                .or_else(|| above().map(|(other, rate)| rate / ratio(other)))
                .or_else(|| below().map(|(other, rate)| rate * ratio(other)))
                .unwrap_or(0)
        })
    }

    /// Sets the largest layer that may cross.
    pub(super) fn allow(&mut self, now: Instant, allowed: Option<Layer>) {
        for (layer, stream) in (0..).map(Layer).zip(&mut self.streams) {
            let may = Some(layer) <= allowed;
            let might = Some(layer) <= self.allowed;
            if may && !might && stream.wished_at.is_some() {
                stream.wished_at = Some(now);
                stream.asked_at = None;
            }
            stream.gate = match (stream.gate, may) {
                (Gate::Open | Gate::Ending, true) => Gate::Open,
                (Gate::Shut | Gate::Waiting, true) if stream.newest.is_none() => Gate::Open,
                (Gate::Shut | Gate::Waiting, true) => Gate::Waiting,
                (Gate::Open | Gate::Ending, false) if stream.under_way => Gate::Ending,
                (_, false) => Gate::Shut,
            };
        }
        self.allowed = allowed;
        self.changed_at = Some(now);
        self.told_at = None;
    }

    /// Ends a layer, and those above it, at once: what waits of them is thrown away.
    pub(super) fn cut(&mut self, now: Instant, layer: Layer) {
        let below = layer.0.checked_sub(1).map(Layer);
        self.allow(now, below.min(self.allowed));
        for stream in &mut self.streams[usize::from(layer.0).min(MAX_LAYERS)..] {
            stream.gate = Gate::Shut;
            stream.under_way = false;
        }
    }

    /// Whether the peer is to be told now what crosses.
    pub(super) fn poll_telling(&mut self, now: Instant, interval: Duration) -> bool {
        if self.changed_at.is_none() {
            return false;
        }
        let since = self.told_at.map(|at| now.saturating_duration_since(at));
        if self.allowed < Some(Layer::TOP) {
            self.released = false;
            let due = since.is_none_or(|since| since >= interval);
            self.told_at = if due { Some(now) } else { self.told_at };
            return due;
        }
        match since {
            None => {
                self.told_at = Some(now);
                self.released = true;
                true
            }
            Some(since) if self.released && since >= AGAIN => {
                self.released = false;
                true
            }
            Some(_) => false,
        }
    }
}

impl Stream {
    const fn crosses(&self) -> bool {
        matches!(self.gate, Gate::Open | Gate::Ending)
    }
}
