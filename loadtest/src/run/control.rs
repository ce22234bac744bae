//! Light clients held against real ones in the same room: if both see the same, the light ones can be believed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::collect::{Receivers, kind_of, nominal_ms};
use super::driver::OutcomeOfRun;
use crate::client::{Leg, LegKey, Source};
use crate::report::Distribution;
use crate::report::data::{Control, Media};
use crate::scenario::{Plan, Planned, Scenario};
use crate::worker::{Layout, PairKey, microseconds};

/// How far medians of delays may be apart, in milliseconds.
const DELAY_BOUND_MS: f64 = 15.0;
/// How far losses may be apart, in points of per cent.
const LOSS_BOUND: f64 = 0.5;
/// How browsers are called in reports.
const BROWSER: &str = "browser";

/// The size in which a layout shows most pictures.
pub(super) fn picture(layout: Layout) -> (u32, u32) {
    match layout {
        Layout::Grid { tile, .. } => (tile.width, tile.height),
        Layout::Speaker { .. } | Layout::AudioOnly => (320, 180),
    }
}

/// Media of browsers, by pair of regions and kind.
pub(super) fn media(scenario: &Scenario, plan: &Plan, outcome: &OutcomeOfRun) -> Vec<Media> {
    let mut pairs: BTreeMap<PairKey, (Histogram<u64>, u64, u64, u64)> = BTreeMap::new();
    let Some(home) = plan.participants.first() else {
        return Vec::new();
    };
    for leg in outcome.browsers.iter().flat_map(|browser| &browser.legs) {
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
        *expected += u64::from(leg.last.saturating_sub(leg.first)) + 1;
    }
    let name = |at: u16| scenario.regions[usize::from(at)].name.clone();
    pairs
        .into_iter()
        .map(|(key, (delays, legs, frames, expected))| Media {
            from: name(key.from),
            to: name(key.to),
            kind: kind_of(key.source).to_owned(),
            client: BROWSER.to_owned(),
            delay: Distribution::of_microseconds(&delays),
            nominal_delay_ms: nominal_ms(scenario, key),
            frames_expected: expected,
            frames,
            legs,
            ..Media::default()
        })
        .collect()
}

/// Delay, loss and layer of browsers beside those of the light clients of their region.
pub(super) fn control(plan: &Plan, outcome: &OutcomeOfRun, receivers: &Receivers<'_>) -> Vec<Control> {
    let (Some(home), false) = (plan.participants.first(), outcome.browsers.is_empty()) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for source in [Source::Audio, Source::Camera] {
        let light = light_delays(outcome, home, source);
        let other = browser_delays(outcome, source);
        if !light.is_empty() && !other.is_empty() {
            let ms = |delays: &Histogram<u64>| delays.value_at_quantile(0.5) as f64 / 1_000.0;
            let figure = format!("median delay of {}, ms", kind_of(source));
            rows.push(row(figure, ms(&light), ms(&other), DELAY_BOUND_MS));
        }
    }
    let (lost, received) = outcome.browsers.iter().fold((0, 0), |(lost, received), browser| {
        (lost + browser.lost.max(0), received + browser.received)
    });
    let share = |lost: f64, all: f64| 100.0 * lost / all.max(1.0);
    let here = plan
        .participants
        .iter()
        .filter(|planned| planned.region == home.region && planned.room == home.room);
    let figures = || {
        here.clone()
            .filter_map(|planned| receivers.get(&planned.id))
            .flatten()
    };
    let light_lost: u64 = figures()
        .map(|figures| figures.audio.lost + figures.video.lost)
        .sum();
    let light_all: u64 = figures()
        .map(|figures| figures.audio.expected + figures.video.expected)
        .sum();
    rows.push(row(
        "packets lost for good, %".to_owned(),
        share(light_lost as f64, light_all as f64),
        share(lost as f64, lost as f64 + received as f64),
        LOSS_BOUND,
    ));
    let mut light_layers = [0; 4];
    for leg in figures()
        .flat_map(|figures| figures.legs.iter())
        .filter_map(camera)
    {
        add(&mut light_layers, leg.per_layer);
    }
    let mut browser_layers = [0; 4];
    for leg in outcome.browsers.iter().flat_map(|browser| &browser.legs) {
        if leg.source == Source::Camera.number() {
            add(&mut browser_layers, leg.layers);
        }
    }
    if let (Some(light), Some(other)) = (dominant(light_layers), dominant(browser_layers)) {
        rows.push(row("layer of most camera frames".to_owned(), light, other, 0.0));
    }
    rows
}

fn row(figure: String, light: f64, other: f64, bound: f64) -> Control {
    Control {
        figure,
        client: BROWSER.to_owned(),
        light,
        other,
        bound,
        agrees: (light - other).abs() <= bound,
    }
}

fn light_delays(outcome: &OutcomeOfRun, home: &Planned, source: Source) -> Histogram<u64> {
    let mut sum = microseconds();
    for (key, tally) in outcome.results.iter().flat_map(|results| &results.tally.pairs) {
        if key.source == source && usize::from(key.to) == home.region {
            // All histograms have the same bounds.
            let _ = sum.add(&tally.delay_us);
        }
    }
    sum
}

fn browser_delays(outcome: &OutcomeOfRun, source: Source) -> Histogram<u64> {
    let mut sum = microseconds();
    let legs = outcome.browsers.iter().flat_map(|browser| &browser.legs);
    for leg in legs.filter(|leg| leg.source == source.number()) {
        for delay in &leg.delays_us {
            sum.saturating_record(delay.max(0.0) as u64);
        }
    }
    sum
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
