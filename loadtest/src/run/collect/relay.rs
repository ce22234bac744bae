//! What links carried, beside what they had to.

use std::collections::BTreeMap;

use super::Receivers;
use super::cheapest::{Delays, cheapest, shortest};
use crate::client::LegKey;
use crate::report::data::{Link, Media, Relay};
use crate::run::driver::OutcomeOfRun;
use crate::scenario::{Plan, Scenario};
use crate::target::{Feed, MediaCount};

/// A layer of which fewer packets crossed is not counted: nodes are asked one after the other.
const FEWEST_PACKETS: u64 = 100;

/// Bytes by place of the sender's region and of the receiver's.
type BytesByPair = BTreeMap<(usize, usize), u64>;

/// Bytes that must come from one region to another: of every source the copy of whoever got most of it.
fn least_bytes(plan: &Plan, receivers: &Receivers<'_>) -> BytesByPair {
    let mut most: BTreeMap<(usize, LegKey), u64> = BTreeMap::new();
    for receiver in &plan.participants {
        for (key, leg) in receivers
            .get(&receiver.id)
            .into_iter()
            .flatten()
            .flat_map(|figures| &figures.legs)
        {
            let bytes = most.entry((receiver.region, *key)).or_default();
            *bytes = (*bytes).max(leg.media_bytes);
        }
    }
    let mut least = BytesByPair::new();
    for ((to, key), bytes) in most {
        if let Some(sender) = plan.participants.get(key.sender as usize)
            && sender.region != to
        {
            *least.entry((sender.region, to)).or_default() += bytes;
        }
    }
    least
}

/// What the emulated links carried.
pub(super) fn links(
    scenario: &Scenario,
    plan: &Plan,
    outcome: &OutcomeOfRun,
    receivers: &Receivers<'_>,
) -> Vec<Link> {
    let least = least_bytes(plan, receivers);
    let place = |name: &str| scenario.regions.iter().position(|region| region.name == name);
    let pairs = outcome.from.links.iter().zip(&outcome.until.links);
    pairs
        .map(|(from, until)| {
            let offered = until.offered.datagrams.saturating_sub(from.offered.datagrams);
            let lost =
                until.lost + until.queue_full + until.cut_off - from.lost - from.queue_full - from.cut_off;
            let bytes = until.delivered.bytes.saturating_sub(from.delivered.bytes);
            let ends = place(&until.from).zip(place(&until.to));
            let needed = ends.and_then(|ends| least.get(&ends).copied());
            let needed = needed.filter(|needed| *needed > 0);
            Link {
                from: until.from.clone(),
                to: until.to.clone(),
                bytes,
                packets: until.delivered.datagrams.saturating_sub(from.delivered.datagrams),
                loss: lost as f64 / offered.max(1) as f64,
                unwatched_bytes: bytes.saturating_sub(needed.unwrap_or(0)),
                copies: needed.map(|needed| bytes as f64 / needed as f64),
            }
        })
        .collect()
}

/// What nodes sent each other, beside what viewers there wanted; `None` for a single node, where one does not tell, and
/// after faults, with which links begin to count anew.
pub(super) fn relay(
    scenario: &Scenario,
    plan: &Plan,
    outcome: &OutcomeOfRun,
    receivers: &Receivers<'_>,
    media: &[Media],
) -> Option<Relay> {
    if !scenario.faults.is_empty() {
        return None;
    }
    let sent = Sent::of(scenario, outcome)?;
    let least = least_bytes(plan, receivers);
    let ideal: u64 = least.values().sum();
    let direct = direct_delays(scenario, sent.nodes);
    if ideal == 0 {
        return None;
    }
    let over_ideal = |bytes: u64| bytes as f64 / ideal as f64;
    let emulated = outcome.from.links.iter().zip(&outcome.until.links);
    let wire = emulated.map(|(from, until)| until.delivered.bytes.saturating_sub(from.delivered.bytes));
    let along = |bytes: &BytesByPair| -> f64 {
        let pairs = bytes.iter();
        pairs
            .map(|((from, to), bytes)| *bytes as f64 * direct[*from][*to])
            .sum()
    };
    let star = along(&least).max(f64::MIN_POSITIVE);
    let copies = sent.copies();
    Some(Relay {
        layers: copies.len() as u64,
        copies_mean: copies.iter().sum::<f64>() / copies.len().max(1) as f64,
        copies_most: copies.iter().copied().fold(0.0, f64::max),
        repeated: sent.media.values().map(|media| media.repeated).sum(),
        media_bytes: sent.bytes().values().sum(),
        ideal_bytes: ideal,
        over_ideal: over_ideal(sent.bytes().values().sum()),
        wire_over_ideal: over_ideal(wire.sum()),
        delay_over_shortest: over_shortest(scenario, media, &shortest(&direct)),
        star_share: along(&sent.bytes()) / star,
        least_star_share: least_traffic(&least, &direct).map(|least| least / star),
    })
}

/// What the nodes said they sent in the measurement, by place of both ends.
struct Sent {
    nodes: usize,
    media: BTreeMap<(usize, usize), MediaCount>,
    /// By receiver, track and layer: packets over all links to it.
    came: BTreeMap<(usize, String, u8), u64>,
    /// By track and layer: the most packets on one link.
    most: BTreeMap<(String, u8), u64>,
}

impl Sent {
    fn of(scenario: &Scenario, outcome: &OutcomeOfRun) -> Option<Self> {
        let feeds: Vec<Feed> = outcome
            .from
            .feeds
            .iter()
            .zip(&outcome.until.feeds)
            .map(|(from, until)| Some(until.as_ref()?.since(from.as_ref()?)))
            .collect::<Option<_>>()?;
        if feeds.len() < 2 {
            return None;
        }
        let mut all = Self {
            nodes: feeds.len(),
            media: BTreeMap::new(),
            came: BTreeMap::new(),
            most: BTreeMap::new(),
        };
        for (from, feed) in feeds.iter().enumerate() {
            for (peer, sent) in &feed.sent {
                let to = scenario.regions.iter().position(|region| region.name == *peer)?;
                all.media.insert((from, to), sent.media);
                for ((track, layer), media) in &sent.streams {
                    *all.came.entry((to, track.clone(), *layer)).or_default() += media.datagrams;
                    let most = all.most.entry((track.clone(), *layer)).or_default();
                    *most = (*most).max(media.datagrams.saturating_sub(media.repeated));
                }
            }
        }
        Some(all)
    }

    fn bytes(&self) -> BytesByPair {
        self.media
            .iter()
            .map(|(pair, media)| (*pair, media.bytes))
            .collect()
    }

    /// How many copies of each layer came to each node that got it: its packets over all links, repairs included, over those
    /// that one link carried.
    fn copies(&self) -> Vec<f64> {
        let came = self.came.iter().filter_map(|((_, track, layer), packets)| {
            let once = self.most.get(&(track.clone(), *layer)).copied()?;
            (once >= FEWEST_PACKETS && *packets > 0).then(|| *packets as f64 / once as f64)
        });
        came.collect()
    }
}

fn direct_delays(scenario: &Scenario, nodes: usize) -> Delays {
    let mut direct = vec![vec![0.0; nodes]; nodes];
    for link in scenario
        .links
        .iter()
        .filter(|link| link.a < nodes && link.b < nodes)
    {
        let ms = link.properties.delay.as_secs_f64() * 1_000.0;
        (direct[link.a][link.b], direct[link.b][link.a]) = (ms, ms);
    }
    direct
}

/// Mean one-way delay of all frames that crossed a link over that of the shortest ways.
fn over_shortest(scenario: &Scenario, media: &[Media], ways: &Delays) -> Option<f64> {
    let place = |name: &str| scenario.regions.iter().position(|region| region.name == name);
    let (mut came, mut least) = (0.0, 0.0);
    for media in media.iter().filter(|media| media.from != media.to) {
        let Some(delay) = &media.delay else { continue };
        let shortest = *ways.get(place(&media.from)?)?.get(place(&media.to)?)?;
        came += delay.mean_ms * media.frames as f64;
        least += shortest * media.frames as f64;
    }
    (least > 0.0).then(|| came / least)
}

/// Bytes times milliseconds of links that trees within the bounds take at least, each origin with what it sends to one node on
/// the average.
fn least_traffic(least: &BytesByPair, direct: &Delays) -> Option<f64> {
    let others = direct.len().saturating_sub(1).max(1) as f64;
    (0..direct.len())
        .map(|origin| {
            let of_origin = least.iter().filter(|((from, _), _)| *from == origin);
            let bytes: u64 = of_origin.map(|(_, bytes)| *bytes).sum();
            Some(cheapest(direct, origin)? * bytes as f64 / others)
        })
        .sum()
}
