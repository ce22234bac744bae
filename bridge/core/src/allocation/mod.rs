//! Which layer of each picture a viewer gets, so that together they fit its path.
//!
//! Sound is not part of it: it always goes out. Pictures are served in this order, each step only as far as the money
//! lasts: everybody's smallest layer (screens first, then who speaks, then the larger tiles), then larger layers in
//! the same order, equals one layer at a time. So nobody is without a picture while somebody else's is more than the
//! smallest, and where not even that fits, the least important pictures pause. Where a layer has temporal layers, there
//! are steps within it: fewer frames before no picture at all, and before the next layer has all of its own.
//!
//! Nothing flaps: a layer is left as soon as it does not fit, but taken up only with room to spare, and not within
//! two seconds of the last change of that picture.
//!
//! [`link`] does the same for what crosses a link to another node.
//!
//! What may not live here: how wide the path is (see [`crate::bandwidth`]), packets, legs.

pub mod link;
mod point;
#[cfg(test)]
mod tests;

pub use point::{OperatingPoint, TEMPORAL_STEPS};

use relay_proto::id::{Layer, MAX_LAYERS};
use relay_proto::unit::Bitrate;
use std::cmp::Reverse;
use std::time::Duration;

/// Part of the estimate that pictures may take, in hundredths: the rest is for repairs, and for rates that rise.
const HEADROOM_PERCENT: u64 = 95;
/// Part of it that they may take with a layer that is newly taken up.
const RAISE_PERCENT: u64 = 85;
/// A picture is not raised again within this time of its last change.
pub const SETTLE: Duration = Duration::from_secs(2);

/// What a picture is to its viewer, most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A shared screen.
    Screen,
    /// Somebody who speaks.
    Speaker,
    /// Anybody else.
    Other,
}

/// One picture somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What it is to the viewer.
    pub class: Class,
    /// Largest layer of use: the size of its tile.
    pub max: Layer,
    /// Bits a second of each layer with its temporal layers up to each step, growing; what does not exist costs what the
    /// one below costs.
    pub rates: [[u64; TEMPORAL_STEPS]; MAX_LAYERS],
    /// What it has now.
    pub held: Option<OperatingPoint>,
    /// Whether its last change is so long ago that it may be raised.
    pub settled: bool,
}

impl Request {
    fn cost(&self, point: Option<OperatingPoint>) -> u64 {
        point.map_or(0, |point| point.of(&self.rates))
    }

    /// What it has now of what is still of use.
    #[must_use]
    pub fn held_of_use(&self) -> Option<OperatingPoint> {
        self.held.map(|held| held.min(OperatingPoint::whole(self.max)))
    }

    /// What it holds for too short a time to lose it to somebody else.
    fn reserved(&self) -> u64 {
        if self.settled { 0 } else { self.held_cost() }
    }

    fn held_cost(&self) -> u64 {
        self.cost(self.held_of_use())
    }

    /// The next point above `point`, if it is of use. One that costs as much as the whole layer is the whole layer.
    fn above(&self, point: Option<OperatingPoint>) -> Option<OperatingPoint> {
        let next = OperatingPoint::above(point);
        let whole = OperatingPoint::whole(next.layer);
        let next = if self.cost(Some(next)) == self.cost(Some(whole)) {
            whole
        } else {
            next
        };
        (next.layer <= self.max && usize::from(next.layer.0) < MAX_LAYERS).then_some(next)
    }
}

/// Chooses a point for each request, or none, into `chosen` (in the order of `requests`).
///
/// Their rates together are at most 95 % of `estimate`. Cost: a sort, and a step for each layer that is given.
pub fn allocate(estimate: Bitrate, requests: &[Request], chosen: &mut Vec<Option<OperatingPoint>>) {
    chosen.clear();
    chosen.resize(requests.len(), None);
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&at| rank(&requests[at]));
    let mut money = Money {
        most: estimate.0 * HEADROOM_PERCENT / 100,
        most_raised: estimate.0 * RAISE_PERCENT / 100,
        spent: 0,
        reserved: 0,
        raised: false,
    };
    let held: u64 = requests.iter().map(Request::held_cost).sum();
    if held <= money.most {
        // Nobody has to lose anything: what was chosen lately stays. In a path that has become narrower only rank counts.
        money.reserved = requests.iter().map(Request::reserved).sum();
    }
    let equals = || order.chunk_by(|a, b| rank(&requests[*a]) == rank(&requests[*b]));
    for smallest in OperatingPoint::SMALLEST {
        for equals in equals() {
            for step in [Step::Keep, Step::Raise] {
                for &at in equals {
                    // Who could not be given less is not given more.
                    if chosen[at] == smallest {
                        money.take(step, &requests[at], &mut chosen[at]);
                    }
                }
            }
        }
    }
    for equals in equals() {
        for step in [Step::Keep, Step::Raise] {
            let mut moved = true;
            while moved {
                moved = false;
                for &at in equals {
                    // Who could not be given the smallest layer is not served before the others have theirs.
                    moved |= chosen[at] >= Some(OperatingPoint::whole(Layer(0)))
                        && money.take(step, &requests[at], &mut chosen[at]);
                }
            }
        }
    }
}

/// The estimate at which everything fits that is wished for, also what is not held yet.
#[must_use]
pub fn needed(requests: &[Request]) -> Bitrate {
    let sum: u64 = requests
        .iter()
        .map(|request| request.cost(Some(OperatingPoint::whole(request.max))))
        .sum();
    Bitrate(sum * 100 / RAISE_PERCENT + 1)
}

/// A layer more, of two kinds. Among equals what is held goes first, so that nobody loses a layer because somebody
/// else could be raised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// To a layer that is held.
    Keep,
    /// Above it.
    Raise,
}

/// Most important first.
const fn rank(request: &Request) -> (Class, Reverse<Layer>) {
    (request.class, Reverse(request.max))
}

struct Money {
    most: u64,
    most_raised: u64,
    spent: u64,
    /// For layers that were chosen lately and are not given again yet: nobody is raised at their cost, however important.
    reserved: u64,
    /// Somebody has been given more than it held.
    raised: bool,
}

impl Money {
    /// Gives a picture its next point if that is a step of this kind; false where it is not, does not fit, is of no use,
    /// or would be a change too early.
    fn take(&mut self, step: Step, request: &Request, point: &mut Option<OperatingPoint>) -> bool {
        let Some(next) = request.above(*point) else {
            return false;
        };
        let raised = Some(next) > request.held;
        if raised != (step == Step::Raise) {
            return false;
        }
        // Who loses a layer to somebody else loses it by the same margin: what is left is not lost to the next fluctuation.
        let most = if raised || self.raised {
            self.most_raised
        } else {
            self.most
        };
        let more = request.cost(Some(next)).saturating_sub(request.cost(*point));
        let spent = self.spent - request.cost(*point) + request.cost(Some(next));
        let kept = if request.settled { 0 } else { more };
        let reserved = self.reserved.saturating_sub(kept);
        if spent + reserved > most || (raised && !request.settled) {
            return false;
        }
        self.reserved = reserved;
        self.raised |= raised;
        self.spent = spent;
        *point = Some(next);
        true
    }
}
