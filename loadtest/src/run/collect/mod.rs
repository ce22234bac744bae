//! Makes a report of what workers and servers handed over.

mod cheapest;
mod expected;
mod faults;
mod memory;
mod onsets;
mod relay;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hdrhistogram::Histogram;

use expected::Expected;
use faults::faults;
use memory::{rss_of, trend_of};
use onsets::clipped;
use relay::{links, relay};

use super::control;
use super::driver::OutcomeOfRun;
use super::facts::People;
use crate::client::{LegKey, Source, StreamCounters};
use crate::report::Distribution;
use crate::report::data::{Generator, Joins, Matrix, Media, Node, Packets, Requests, Second, Target};
use crate::scenario::{Plan, Planned, Role, Scenario};
use crate::worker::{Figures, PairKey, PairTally, microseconds};

/// A matrix of more people shows regions.
const MOST_NAMES: usize = 60;
/// Counters of a node that a report repeats.
const COUNTERS: [&str; 9] = [
    "causeway_shard_packets_in",
    "causeway_shard_sounds_withheld",
    "causeway_shard_batches_out",
    "causeway_shard_bytes_out",
    "causeway_shard_relay_in",
    "causeway_shard_relay_out",
    "causeway_shard_relay_dropped",
    "causeway_shard_repairs_out",
    "causeway_shard_send_full",
];

/// Everything about one receiver, over all its connections of the run.
pub(in crate::run) type Receivers<'r> = BTreeMap<u32, Vec<&'r Figures>>;

/// The report of one target, and of the generator during it.
pub(in crate::run) fn collect(
    scenario: &Scenario,
    plan: &Plan,
    outcome: OutcomeOfRun,
) -> (Target, Generator) {
    let mut receivers: Receivers<'_> = BTreeMap::new();
    for figures in outcome.results.iter().flat_map(|results| &results.participants) {
        receivers.entry(figures.id).or_default().push(figures);
    }
    let expected = Expected::new(scenario, plan, &outcome);
    let media = media(scenario, plan, &outcome, &receivers, &expected);
    let target = Target {
        name: outcome.name.clone(),
        url: outcome.url.clone(),
        nodes: nodes(scenario, &outcome, &receivers),
        links: links(scenario, plan, &outcome, &receivers),
        joins: joins(&outcome.people),
        requests: requests(&outcome),
        control: control::control(scenario, plan, &outcome, &receivers),
        relay: relay(scenario, plan, &outcome, &receivers, &media),
        media: media
            .into_iter()
            .chain(control::media(scenario, plan, &outcome))
            .collect(),
        matrix: matrix(scenario, plan, &receivers, &expected),
        faults: faults(scenario, plan, &outcome, &receivers),
        unclean_ends: outcome.unclean_ends,
        clipped: clipped(plan, &outcome, &receivers),
        timeline: timeline(&outcome),
        capacity: Vec::new(),
    };
    (target, generator(plan, &outcome))
}

/// Frames of a source that a receiver got, over all its connections.
fn frames_of(figures: &[&Figures], key: LegKey) -> u64 {
    figures
        .iter()
        .filter_map(|figures| figures.legs.get(&key))
        .map(|leg| leg.frames)
        .sum()
}

fn nodes(scenario: &Scenario, outcome: &OutcomeOfRun, receivers: &Receivers<'_>) -> Vec<Node> {
    let measured = |look: &super::target::Look, at: usize| look.samples.get(at).copied().flatten();
    let mut nodes = Vec::new();
    for (at, region) in scenario
        .regions
        .iter()
        .enumerate()
        .take(outcome.until.samples.len())
    {
        let here: Vec<u32> = outcome
            .people
            .by_id
            .iter()
            .enumerate()
            .filter(|(_, person)| person.place == at && person.present)
            .map(|(id, _)| id as u32)
            .collect();
        let figures = || here.iter().filter_map(|id| receivers.get(id)).flatten();
        let packets_out: u64 = figures().map(|figures| figures.received).sum();
        let (before, from, until) = (
            measured(&outcome.before, at),
            measured(&outcome.from, at),
            measured(&outcome.until, at),
        );
        let rss_kib = rss_of(outcome, at);
        let cost = from.zip(until).map(|(from, until)| until.since(&from));
        let counters = outcome.from.counters.get(at).zip(outcome.until.counters.get(at));
        nodes.push(Node {
            name: region.name.clone(),
            region: region.title.clone(),
            cpu_ns_per_forwarded_packet: cost
                .filter(|_| packets_out > 0)
                .map(|cost| cost.cpu.as_nanos() as f64 / packets_out as f64),
            cpu_share: cost.map(|cost| cost.cpu.as_secs_f64() / cost.wall.as_secs_f64().max(1e-9)),
            rss_bytes: until.map(|sample| sample.rss_bytes),
            peak_rss_bytes: until.map(|sample| sample.peak_rss_bytes),
            rss_per_participant_bytes: before.zip(until).filter(|_| !here.is_empty()).map(
                |(before, until)| {
                    (until.anonymous_bytes as f64 - before.anonymous_bytes as f64) / here.len() as f64
                },
            ),
            participants: here.len() as u64,
            packets_out,
            packets_in: figures().map(|figures| figures.sent_packets).sum(),
            counters: match counters {
                Some((Some(from), Some(until))) => until
                    .since(from)
                    .into_iter()
                    .filter(|(name, _)| COUNTERS.contains(&name.as_str()))
                    .collect(),
                _ => Vec::new(),
            },
            shard_cpu_us: match counters {
                Some((Some(from), Some(until))) => until.of_shards_since(from, "causeway_shard_cpu_us"),
                _ => Vec::new(),
            },
            rss_trend: trend_of(&rss_kib),
            rss_kib,
        });
    }
    nodes
}

fn requests(outcome: &OutcomeOfRun) -> Requests {
    let all = outcome.results.iter().flat_map(|results| &results.participants);
    all.fold(Requests::default(), |sum, figures| Requests {
        keyframes: sum.keyframes + figures.receiver.plis,
        packets: sum.packets + figures.receiver.nacks,
        unknown: sum.unknown + figures.receiver.unknown,
        malformed: sum.malformed + figures.receiver.malformed,
        offers: sum.offers + figures.offers,
        offer_bytes: sum.offer_bytes + figures.offer_bytes,
    })
}

fn joins(people: &People) -> Joins {
    Joins {
        planned: people.planned,
        succeeded: people.succeeded,
        failures: people
            .failures
            .iter()
            .map(|(reason, count)| (reason.clone(), *count))
            .collect(),
        joined: Distribution::of_ms(people.joined_ms.iter().copied()),
        connected: Distribution::of_ms(people.connected_ms.iter().copied()),
        first_frame: Distribution::of_ms(people.first_frame_ms.iter().copied()),
        first_picture: Distribution::of_ms(people.first_picture_ms.iter().copied()),
    }
}

pub(in crate::run) fn kind_of(source: Source) -> &'static str {
    match source {
        Source::Audio => "audio",
        Source::Camera => "camera",
        Source::Screen => "screen",
    }
}

/// Sums over the legs of one pair of regions.
#[derive(Default)]
struct LegSums {
    legs: u64,
    frames: u64,
    expected: u64,
    gaps: u64,
    gap_time: Duration,
    bytes: u64,
    longest_ms: Vec<f64>,
}

fn media(
    scenario: &Scenario,
    plan: &Plan,
    outcome: &OutcomeOfRun,
    receivers: &Receivers<'_>,
    expected: &Expected<'_>,
) -> Vec<Media> {
    let mut pairs: BTreeMap<PairKey, PairTally> = BTreeMap::new();
    for (key, tally) in outcome.results.iter().flat_map(|results| &results.tally.pairs) {
        match pairs.get_mut(key) {
            None => {
                pairs.insert(*key, tally.clone());
            }
            Some(sum) => {
                merge(&mut sum.delay_us, &tally.delay_us);
                merge(&mut sum.keyframe_wait_us, &tally.keyframe_wait_us);
                sum.wanted = (sum.wanted.0 + tally.wanted.0, sum.wanted.1 + tally.wanted.1);
            }
        }
    }
    let sums = leg_sums(plan, receivers, expected);
    let region = |at: u16| {
        scenario
            .regions
            .get(usize::from(at))
            .map_or_else(String::new, |region| region.name.clone())
    };
    let keys: BTreeSet<PairKey> = pairs.keys().chain(sums.keys()).copied().collect();
    keys.into_iter()
        .map(|key| {
            let tally = pairs.get(&key);
            let sum = sums.get(&key);
            let legs = sum.map_or(0, |sum| sum.legs);
            let time_s = legs as f64 * scenario.duration.as_secs_f64();
            let gap_s = sum.map_or(0.0, |sum| sum.gap_time.as_secs_f64());
            Media {
                from: region(key.from),
                to: region(key.to),
                kind: kind_of(key.source).to_owned(),
                client: "light".to_owned(),
                delay: tally.and_then(|tally| Distribution::of_microseconds(&tally.delay_us)),
                nominal_delay_ms: nominal_ms(scenario, key),
                frames_expected: sum.map_or(0, |sum| sum.expected),
                frames: sum.map_or(0, |sum| sum.frames),
                legs,
                gaps: sum.map_or(0, |sum| sum.gaps),
                gap_ms: gap_s * 1_000.0,
                gap_ratio: if time_s > 0.0 { gap_s / time_s } else { 0.0 },
                gap_lengths: sum.and_then(|sum| Distribution::of_ms(sum.longest_ms.iter().copied())),
                keyframe_wait: tally.and_then(|tally| Distribution::of_microseconds(&tally.keyframe_wait_us)),
                wanted_layer: tally
                    .filter(|tally| tally.wanted.1 > 0)
                    .map(|tally| tally.wanted.0 as f64 / tally.wanted.1 as f64),
                bit_rate_bps: sum.map_or(0.0, |sum| sum.bytes as f64 * 8.0 / time_s.max(1e-9)),
            }
        })
        .collect()
}

fn merge(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    // Both have the same bounds, so nothing can be lost; a new one of the same kind proves it.
    debug_assert_eq!(into.high(), microseconds().high());
    let _ = into.add(from);
}

fn leg_sums(plan: &Plan, receivers: &Receivers<'_>, expected: &Expected<'_>) -> BTreeMap<PairKey, LegSums> {
    let mut sums: BTreeMap<PairKey, LegSums> = BTreeMap::new();
    for receiver in &plan.participants {
        let Some(figures) = receivers.get(&receiver.id) else {
            continue;
        };
        for key in expected.legs(receiver) {
            let (Some(sender), Some(source)) = (
                plan.participants.get(key.sender as usize),
                Source::of_number(key.source),
            ) else {
                continue;
            };
            let pair = PairKey {
                from: sender.region as u16,
                to: receiver.region as u16,
                source,
            };
            let sum = sums.entry(pair).or_default();
            sum.legs += 1;
            let frames = frames_of(figures, key);
            sum.frames += frames;
            sum.expected += expected
                .frames(receiver.id, figures, key)
                .map_or(frames, |sure| sure.max(frames));
            for leg in figures.iter().filter_map(|figures| figures.legs.get(&key)) {
                sum.gaps += leg.gaps;
                sum.gap_time += leg.gap_time;
                sum.bytes += leg.bytes;
                sum.longest_ms
                    .extend(leg.longest.iter().map(|gap| gap.length.as_secs_f64() * 1_000.0));
            }
        }
    }
    sums
}

/// Delay of the emulated link between the regions' nodes; within a region there is none.
pub(in crate::run) fn nominal_ms(scenario: &Scenario, key: PairKey) -> Option<f64> {
    if key.from == key.to {
        return Some(0.0);
    }
    let ends = [usize::from(key.from), usize::from(key.to)];
    let link = scenario
        .links
        .iter()
        .find(|link| ends == [link.a, link.b] || ends == [link.b, link.a])?;
    Some(link.properties.delay.as_secs_f64() * 1_000.0)
}

fn matrix(scenario: &Scenario, plan: &Plan, receivers: &Receivers<'_>, expected: &Expected<'_>) -> Matrix {
    let whole = plan.participants.len() <= MOST_NAMES;
    let names: Vec<String> = if whole {
        plan.participants
            .iter()
            .map(|planned| planned.identity.clone())
            .collect()
    } else {
        scenario
            .regions
            .iter()
            .map(|region| region.name.clone())
            .collect()
    };
    let place = |planned: &Planned| {
        if whole {
            planned.id as usize
        } else {
            planned.region
        }
    };
    let mut cells = vec![vec![[(0_u64, 0_u64); 2]; names.len()]; names.len()];
    for receiver in plan
        .participants
        .iter()
        .filter(|planned| planned.role != Role::Presenter || whole)
    {
        let Some(figures) = receivers.get(&receiver.id) else {
            continue;
        };
        for key in expected.legs(receiver) {
            let Some(sure) = expected.frames(receiver.id, figures, key) else {
                continue;
            };
            let sender = &plan.participants[key.sender as usize];
            let kind = usize::from(key.source != Source::Audio.number());
            let cell = &mut cells[place(receiver)][place(sender)][kind];
            cell.0 += frames_of(figures, key).min(sure);
            cell.1 += sure;
        }
    }
    let of = |kind: usize| -> Vec<Vec<Option<f64>>> {
        let share = |cell: &[(u64, u64); 2]| {
            let (came, sure) = cell[kind];
            (sure > 0).then(|| came as f64 / sure as f64)
        };
        cells.iter().map(|row| row.iter().map(share).collect()).collect()
    };
    Matrix {
        audio: of(0),
        video: of(1),
        names,
    }
}

fn timeline(outcome: &OutcomeOfRun) -> Vec<Second> {
    let mut seconds: BTreeMap<u64, Second> = BTreeMap::new();
    for (at, second) in outcome.results.iter().flat_map(|results| &results.tally.seconds) {
        let entry = seconds.entry(*at).or_insert_with(|| Second {
            at_s: *at,
            participants: outcome.present.get(*at as usize).map_or(0, |count| *count as u64),
            ..Second::default()
        });
        let (before, added) = (entry.frames as f64, second.frames as f64);
        let p50_ms = second.p50_us as f64 / 1_000.0;
        entry.p50_ms = (entry.p50_ms * before + p50_ms * added) / (before + added).max(1.0);
        entry.p99_ms = entry.p99_ms.max(second.p99_us as f64 / 1_000.0);
        entry.frames += second.frames;
    }
    seconds.into_values().collect()
}

fn generator(plan: &Plan, outcome: &OutcomeOfRun) -> Generator {
    let all = || outcome.results.iter().flat_map(|results| &results.participants);
    let wall_s = outcome
        .results
        .iter()
        .map(|results| results.wall.as_secs_f64())
        .fold(1e-9, f64::max);
    let cpu_s: f64 = outcome
        .results
        .iter()
        .map(|results| results.cpu.as_secs_f64())
        .sum();
    let received: u64 = all().map(|figures| figures.received).sum();
    let mut own_delay = microseconds();
    for results in &outcome.results {
        merge(&mut own_delay, &results.own_delay_us);
    }
    Generator {
        workers: outcome.results.len() as u64,
        cpu_share: cpu_s / wall_s,
        packets_per_s: received as f64 / wall_s,
        packets: [("audio", true), ("video", false)]
            .into_iter()
            .map(|(kind, audio)| {
                let mut sum = StreamCounters::default();
                for figures in all() {
                    sum.add(if audio { &figures.audio } else { &figures.video });
                }
                packets(kind, &sum)
            })
            .collect(),
        own_delay: Distribution::of_microseconds(&own_delay),
        send_failed: all().map(|figures| figures.send_failed).sum(),
        began_s: plan
            .participants
            .iter()
            .filter(|one| !one.sources.is_empty())
            .filter_map(|one| {
                let began = outcome.people.by_id.get(one.id as usize)?.connected_at?;
                Some((
                    one.id,
                    began.saturating_duration_since(outcome.start).as_secs_f64(),
                ))
            })
            .collect(),
    }
}

fn packets(kind: &str, sum: &StreamCounters) -> Packets {
    let share = |count: u64| count as f64 / sum.expected.max(1) as f64;
    Packets {
        kind: kind.to_owned(),
        expected: sum.expected,
        received: sum.received,
        loss_before_repair: share(sum.lost_before_repair),
        loss_after_repair: share(sum.lost),
        duplicates: sum.duplicates,
        reordered: sum.reordered,
        forged: sum.forged,
    }
}
