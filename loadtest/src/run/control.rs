//! Light clients held against real ones in the same room: if both see the same, the light ones can be believed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::collect::{Receivers, kind_of, nominal_ms};
use super::driver::OutcomeOfRun;
use crate::client::{Leg, LegKey, Source};
use crate::full::{ControlFigures, ControlKind, ControlLeg};
use crate::report::Distribution;
use crate::report::data::{Control, Media};
use crate::scenario::{Plan, Planned, Scenario};
use crate::signalling::Picture;
use crate::worker::{Layout, PairKey, microseconds};

/// How far medians of delays may be apart, in milliseconds.
const DELAY_BOUND_MS: f64 = 15.0;
/// How far losses may be apart, in points of per cent.
const LOSS_BOUND: f64 = 0.5;
/// In the order of the report.
const KINDS: [ControlKind; 2] = [ControlKind::Full, ControlKind::Browser];

/// The size in which a layout shows most pictures.
pub(super) fn picture(layout: Layout) -> Picture {
    match layout {
        Layout::Grid { tile, .. } => tile,
        Layout::Speaker { .. } | Layout::AudioOnly => Picture {
            width: 320,
            height: 180,
        },
    }
}

/// Media of control clients, by kind, pair of regions and source.
pub(super) fn media(scenario: &Scenario, plan: &Plan, outcome: &OutcomeOfRun) -> Vec<Media> {
    let Some(home) = plan.participants.first() else {
        return Vec::new();
    };
    let of_kind = |kind| media_of(scenario, plan, home, kind, legs(outcome, kind));
    KINDS.into_iter().flat_map(of_kind).collect()
}

/// Delays, legs, frames and expected frames of one row.
type Row = (Histogram<u64>, u64, u64, u64);

fn media_of<'l>(
    scenario: &Scenario,
    plan: &Plan,
    home: &Planned,
    kind: ControlKind,
    legs: impl Iterator<Item = &'l ControlLeg>,
) -> Vec<Media> {
    let mut pairs: BTreeMap<PairKey, Row> = BTreeMap::new();
    for leg in legs {
        let (Some(sender), Some(source)) = (
            plan.participants.get(leg.sender as usize),
            Source::of_number(leg.source),
        ) else {
            continue;
        };
        let key = PairKey {
            from: sender.region as u16,
            to: home.region as u16,
            source,
        };
        let (delays, legs, frames, expected) = pairs.entry(key).or_insert_with(|| (microseconds(), 0, 0, 0));
        for delay in &leg.delays_us {
            delays.saturating_record(delay.max(0.0) as u64);
        }
        *legs += 1;
        *frames += leg.frames;
        *expected += leg.expected();
    }
    let name = |at: u16| scenario.regions[usize::from(at)].name.clone();
    pairs
        .into_iter()
        .map(|(key, (delays, legs, frames, expected))| Media {
            from: name(key.from),
            to: name(key.to),
            kind: kind_of(key.source).to_owned(),
            client: kind.name().to_owned(),
            delay: Distribution::of_microseconds(&delays),
            nominal_delay_ms: nominal_ms(scenario, key),
            frames_expected: expected,
            frames,
            legs,
            ..Media::default()
        })
        .collect()
}

/// Delay, loss and layer of control clients beside those of the light clients of their region, kind by kind.
pub(super) fn control(
    scenario: &Scenario,
    plan: &Plan,
    outcome: &OutcomeOfRun,
    receivers: &Receivers<'_>,
) -> Vec<Control> {
    let Some(home) = plan.participants.first() else {
        return Vec::new();
    };
    let light = Light::of(scenario, plan, home, outcome, receivers);
    let of_kind = |kind| light.beside(plan, outcome, kind);
    KINDS.into_iter().flat_map(of_kind).collect()
}

/// Delays by source and the sender's region. Both are kept apart: the median of a mixture of near and far senders says
/// little.
type Delays = BTreeMap<(Source, u16), Histogram<u64>>;

/// What light clients of the controls' region and room measured.
struct Light<'r> {
    scenario: &'r Scenario,
    delays: Delays,
    lost_percent: f64,
    layers: [u64; 4],
}

impl<'r> Light<'r> {
    fn of(
        scenario: &'r Scenario,
        plan: &Plan,
        home: &Planned,
        outcome: &OutcomeOfRun,
        receivers: &Receivers<'_>,
    ) -> Self {
        let here = plan
            .participants
            .iter()
            .filter(|planned| planned.region == home.region && planned.room == home.room);
        let figures = here.filter_map(|planned| receivers.get(&planned.id)).flatten();
        let (mut lost, mut expected, mut layers) = (0, 0, [0; 4]);
        for figures in figures {
            lost += figures.audio.lost + figures.video.lost;
            expected += figures.audio.expected + figures.video.expected;
            for leg in figures.legs.iter().filter_map(camera) {
                add(&mut layers, leg.per_layer);
            }
        }
        Self {
            scenario,
            delays: light_delays(outcome, home),
            lost_percent: percent(lost as f64, expected as f64),
            layers,
        }
    }

    fn beside(&self, plan: &Plan, outcome: &OutcomeOfRun, kind: ControlKind) -> Vec<Control> {
        let clients: Vec<&ControlFigures> = of_kind(outcome, kind).collect();
        if clients.is_empty() {
            return Vec::new();
        }
        let row = |figure: String, light: f64, other: f64, bound: f64| Control {
            figure,
            client: kind.name().to_owned(),
            light,
            other,
            bound,
            agrees: (light - other).abs() <= bound,
        };
        let mut rows = Vec::new();
        let others = control_delays(plan, outcome, kind);
        for (key, light) in &self.delays {
            if let Some(other) = others.get(key).filter(|_| !light.is_empty()) {
                let ms = |delays: &Histogram<u64>| delays.value_at_quantile(0.5) as f64 / 1_000.0;
                let from = &self.scenario.regions[usize::from(key.1)].name;
                let figure = format!("median delay of {} from {from}, ms", kind_of(key.0));
                rows.push(row(figure, ms(light), ms(other), DELAY_BOUND_MS));
            }
        }
        let lost: f64 = clients.iter().map(|client| client.lost.max(0) as f64).sum();
        let received: f64 = clients.iter().map(|client| client.received as f64).sum();
        let other = percent(lost, lost + received);
        let figure = "packets lost for good, %".to_owned();
        rows.push(row(figure, self.lost_percent, other, LOSS_BOUND));
        let mut layers = [0; 4];
        for leg in legs(outcome, kind).filter(|leg| leg.source == Source::Camera.number()) {
            add(&mut layers, leg.layers);
        }
        if let (Some(light), Some(other)) = (dominant(self.layers), dominant(layers)) {
            rows.push(row("layer of most camera frames".to_owned(), light, other, 0.0));
        }
        rows
    }
}

fn of_kind(outcome: &OutcomeOfRun, kind: ControlKind) -> impl Iterator<Item = &ControlFigures> {
    let clients = outcome.controls.iter();
    clients.filter(move |client| client.kind == kind)
}

fn legs(outcome: &OutcomeOfRun, kind: ControlKind) -> impl Iterator<Item = &ControlLeg> {
    of_kind(outcome, kind).flat_map(|client| &client.legs)
}

fn percent(part: f64, whole: f64) -> f64 {
    100.0 * part / whole.max(1.0)
}

fn light_delays(outcome: &OutcomeOfRun, home: &Planned) -> Delays {
    let mut delays = Delays::new();
    for (key, tally) in outcome.results.iter().flat_map(|results| &results.tally.pairs) {
        if usize::from(key.to) == home.region {
            let sum = delays.entry((key.source, key.from)).or_insert_with(microseconds);
            // All histograms have the same bounds.
            let _ = sum.add(&tally.delay_us);
        }
    }
    delays
}

fn control_delays(plan: &Plan, outcome: &OutcomeOfRun, kind: ControlKind) -> Delays {
    let mut delays = Delays::new();
    for leg in legs(outcome, kind) {
        let sender = plan.participants.get(leg.sender as usize);
        if let (Some(sender), Some(source)) = (sender, Source::of_number(leg.source)) {
            let key = (source, sender.region as u16);
            let sum = delays.entry(key).or_insert_with(microseconds);
            for delay in &leg.delays_us {
                sum.saturating_record(delay.max(0.0) as u64);
            }
        }
    }
    delays
}

fn camera<'l>((key, leg): (&LegKey, &'l Leg)) -> Option<&'l Leg> {
    (key.source == Source::Camera.number()).then_some(leg)
}

fn add(sum: &mut [u64; 4], layers: [u64; 4]) {
    sum.iter_mut()
        .zip(layers)
        .for_each(|(sum, frames)| *sum += frames);
}

fn dominant(layers: [u64; 4]) -> Option<f64> {
    let most = layers.iter().enumerate().max_by_key(|(_, frames)| **frames)?;
    (*most.1 > 0).then_some(most.0 as f64)
}
