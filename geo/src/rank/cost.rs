//! What a node would cost a client, in milliseconds, and the reasons that come of it.

use super::{Candidate, NodeState, RankRequest, Ranked, Reason};
use crate::latency::{UNKNOWN_RTT_MS, between_points_ms, blend_ms, plausible_rtt, predicted_rtt_ms};
use crate::locate::Anchor;
use crate::point::GeoPoint;
use crate::policy::Policy;

/// Load below which nobody needs to read about it.
const LOAD_WORTH_SAYING: f32 = 0.05;

/// Everything needed to price one candidate against the others.
pub(super) struct Costs<'a> {
    request: &'a RankRequest,
    policy: &'a Policy,
    all: &'a [&'a Candidate],
    /// Where the client may be taken to be; several when only a region is known, none when nothing is.
    client_points: Vec<GeoPoint>,
}

/// Load of a candidate, 0 to 1; what is not a number counts as full.
pub(super) fn load_of(candidate: &Candidate) -> f32 {
    if candidate.load.is_nan() {
        1.0
    } else {
        candidate.load.clamp(0.0, 1.0)
    }
}

impl<'a> Costs<'a> {
    pub(super) fn new(request: &'a RankRequest, all: &'a [&'a Candidate], policy: &'a Policy) -> Self {
        let points_where = |keep: &dyn Fn(&Candidate) -> bool| {
            all.iter()
                .filter(|candidate| keep(candidate))
                .map(|candidate| candidate.point)
                .collect()
        };
        let client_points = match &request.place.anchor {
            Anchor::Point(point) => vec![*point],
            Anchor::Node(name) => points_where(&|candidate| candidate.name == *name),
            Anchor::Region(label) => points_where(&|candidate| candidate.region == *label),
            Anchor::Nowhere => Vec::new(),
        };
        Self {
            request,
            policy,
            all,
            client_points,
        }
    }

    /// Prices `candidate` and says why.
    pub(super) fn ranked(&self, candidate: &Candidate, asked: bool) -> Ranked {
        let mut reasons = Vec::new();
        if asked {
            reasons.push(Reason::Asked);
        }
        let access_rtt_ms = self.access_ms(candidate, &mut reasons);
        let room_ms = self.room_ms(candidate, &mut reasons);
        let load_ms = self.load_ms(candidate, &mut reasons);
        Ranked {
            name: candidate.name.clone(),
            region: candidate.region.clone(),
            url: candidate.url.clone(),
            access_rtt_ms,
            cost_ms: access_rtt_ms + room_ms + load_ms,
            reasons,
        }
    }

    /// Round trip between the client and the node: predicted, corrected by what the client measured.
    fn access_ms(&self, candidate: &Candidate, reasons: &mut Vec<Reason>) -> f64 {
        let distances = self
            .client_points
            .iter()
            .map(|point| point.distance_km(candidate.point));
        let predicted_ms = match distances.min_by(f64::total_cmp) {
            Some(distance_km) => {
                let predicted_rtt_ms = predicted_rtt_ms(distance_km);
                reasons.push(Reason::Distance {
                    distance_km,
                    predicted_rtt_ms,
                });
                predicted_rtt_ms
            }
            None => {
                reasons.push(Reason::PlaceUnknown);
                UNKNOWN_RTT_MS
            }
        };
        let measured = self.request.measured.get(&candidate.name).copied();
        let used_rtt_ms = blend_ms(predicted_ms, measured);
        if let Some(measured) = measured.filter(|m| m.is_plausible()) {
            reasons.push(Reason::Measured {
                rtt_ms: measured.rtt_ms,
                used_rtt_ms,
            });
        }
        used_rtt_ms
    }

    /// What the rest of the room costs: the way to it, and splitting it further.
    fn room_ms(&self, candidate: &Candidate, reasons: &mut Vec<Reason>) -> f64 {
        let here = candidate.participants_in_room;
        // Draining and suspect nodes still hold people; dead ones do not.
        let others = || {
            self.all
                .iter()
                .filter(|n| n.name != candidate.name && n.state != NodeState::Dead)
        };
        let away: u64 = others().map(|n| u64::from(n.participants_in_room)).sum();
        let total = away + u64::from(here);
        if here > 0 {
            reasons.push(Reason::HostsRoom { participants: here });
        }
        if away == 0 {
            return 0.0;
        }
        let sum_ms: f64 = others()
            .filter(|n| n.participants_in_room > 0)
            .map(|n| f64::from(n.participants_in_room) * mesh_ms(candidate, n))
            .sum();
        reasons.push(Reason::OthersAway {
            participants: u32::try_from(away).unwrap_or(u32::MAX),
            mean_rtt_ms: sum_ms / away as f64,
        });
        let split_ms = if here == 0 { self.policy.split_gain_ms } else { 0.0 };
        if here == 0 {
            reasons.push(Reason::SplitsRoom {
                split_gain_ms: split_ms,
            });
        }
        self.policy.mesh_weight * sum_ms / total as f64 + split_ms
    }

    fn load_ms(&self, candidate: &Candidate, reasons: &mut Vec<Reason>) -> f64 {
        let load = load_of(candidate);
        let cost_ms = self.policy.load_cost_ms * f64::from(load).powi(2);
        if load >= LOAD_WORTH_SAYING {
            reasons.push(Reason::Load { load, cost_ms });
        }
        cost_ms
    }
}

/// Round trip between two nodes, milliseconds: measured by either side, else predicted.
fn mesh_ms(from: &Candidate, to: &Candidate) -> f64 {
    let measured = |a: &Candidate, b: &Candidate| a.mesh_rtt_ms.get(&b.name).copied().and_then(plausible_rtt);
    measured(from, to)
        .or_else(|| measured(to, from))
        .unwrap_or_else(|| between_points_ms(from.point, to.point))
}
