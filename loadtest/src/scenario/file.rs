//! The TOML form of a scenario, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::model::{
    Arrival, Churn, ClientKind, FaultKind, FaultSpec, Group, LinkSpec, Region, Role, Scenario, SpeechModel,
};
use super::{MOST_PARTICIPANTS, ScenarioError, span, thresholds, value};
use crate::signalling::Picture;
use crate::trace::Codec;
use crate::wan::LinkProperties;
use crate::wan::change::PropertyChange;
use crate::worker::Layout;

/// Regions of one scenario.
const MOST_REGIONS: usize = 32;
/// Layers a camera can have.
const MOST_LAYERS: u8 = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default = "one")]
    seed: u64,
    duration: String,
    #[serde(default)]
    warm_up: Option<String>,
    #[serde(default = "one")]
    rooms: u64,
    #[serde(default)]
    speech: SpeechModel,
    #[serde(default)]
    loudest_sounds: u64,
    regions: Vec<RawRegion>,
    #[serde(default)]
    links: Vec<RawLink>,
    groups: Vec<RawGroup>,
    churn: Option<RawChurn>,
    #[serde(default)]
    faults: Vec<RawFault>,
    #[serde(default)]
    thresholds: BTreeMap<String, String>,
}

const fn one() -> u64 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegion {
    name: String,
    title: Option<String>,
    latitude: f64,
    longitude: f64,
    #[serde(default = "yes")]
    node: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct RawLink {
    between: [String; 2],
    #[serde(flatten)]
    properties: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    region: String,
    count: u64,
    role: Role,
    #[serde(default)]
    codec: RawCodec,
    #[serde(default = "three")]
    layers: u8,
    #[serde(default)]
    layout: RawLayout,
    page: Option<u64>,
    tile: Option<String>,
    #[serde(default)]
    client: ClientKind,
    at: Option<String>,
    arrive_within: Option<String>,
    #[serde(default)]
    arrival: RawArrival,
}

const fn three() -> u8 {
    MOST_LAYERS
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawCodec {
    #[default]
    Vp8,
    H264,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawLayout {
    #[default]
    Grid,
    Speaker,
    AudioOnly,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawArrival {
    #[default]
    Even,
    Random,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChurn {
    mean_stay: String,
    mean_away: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFault {
    at: String,
    kind: String,
    node: Option<String>,
    between: Option<[String; 2]>,
    #[serde(default)]
    set: BTreeMap<String, String>,
}

impl Scenario {
    /// Reads and checks a file. Unknown keys are refused.
    ///
    /// # Errors
    /// [`ScenarioError`] names the place and what would be right.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let raw: RawScenario =
            toml::from_str(text).map_err(|error| ScenarioError::Toml(error.to_string()))?;
        let regions = checked_regions(raw.regions)?;
        let place = |what: &str, name: &str| -> Result<usize, ScenarioError> {
            let found = regions.iter().position(|region| region.name == name);
            found.ok_or_else(|| {
                let known: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
                value(
                    what,
                    format!("there is no region {name:?}; there are {}", known.join(", ")),
                )
            })
        };
        let mut links = Vec::new();
        for (at, link) in raw.links.into_iter().enumerate() {
            let what = format!("links[{at}].between");
            let [a, b] = &link.between;
            let (a, b) = (place(&what, a)?, place(&what, b)?);
            if a == b {
                return Err(value(what, "two different regions are needed"));
            }
            let pairs = link
                .properties
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()));
            let change = PropertyChange::parse(pairs)
                .map_err(|error| value(format!("links[{at}]"), error.to_string()))?;
            links.push(LinkSpec {
                a,
                b,
                properties: change.applied_to(&LinkProperties::default()),
            });
        }
        let mut groups = Vec::new();
        for (at, group) in raw.groups.into_iter().enumerate() {
            let region = place(&format!("groups[{at}].region"), &group.region)?;
            groups.push(group.checked(at, region)?);
        }
        let mut faults = Vec::new();
        for (at, fault) in raw.faults.into_iter().enumerate() {
            faults.push(fault.checked(at, &|name| place(&format!("faults[{at}]"), name).map(|_| ()))?);
        }
        faults.sort_by_key(|fault: &FaultSpec| fault.at);
        let scenario = Self {
            name: raw.name,
            description: raw.description,
            seed: raw.seed,
            duration: span("duration", &raw.duration)?,
            warm_up: span("warm_up", raw.warm_up.as_deref().unwrap_or("0s"))?,
            rooms: usize::try_from(raw.rooms).unwrap_or(usize::MAX),
            regions,
            links,
            groups,
            speech: raw.speech,
            loudest_sounds: usize::try_from(raw.loudest_sounds).unwrap_or(usize::MAX),
            churn: raw.churn.map(RawChurn::checked).transpose()?,
            faults,
            thresholds: thresholds::read(&raw.thresholds)?,
        };
        scenario.check()?;
        Ok(scenario)
    }

    /// Changes a value as `--set` does: `duration`, `warm_up`, `seed`, `rooms`, or `scale` (a factor on all counts).
    ///
    /// # Errors
    /// [`ScenarioError::Value`] for another key or a value that cannot be.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), ScenarioError> {
        let bad = |what: &str| value(key, format!("{text:?} is no {what}"));
        match key {
            "duration" => self.duration = span(key, text)?,
            "warm_up" => self.warm_up = span(key, text)?,
            "seed" => self.seed = text.parse().map_err(|_| bad("whole number"))?,
            "rooms" => self.rooms = text.parse().map_err(|_| bad("whole number"))?,
            "scale" => {
                let factor: f64 = text.parse().map_err(|_| bad("number"))?;
                if !(0.0..=1_000.0).contains(&factor) {
                    return Err(value(key, "a factor between 0 and 1000 is needed"));
                }
                for group in &mut self.groups {
                    group.count = ((group.count as f64 * factor).round() as usize).max(1);
                }
            }
            _ => {
                return Err(value(
                    key,
                    "only duration, warm_up, seed, rooms and scale can be set",
                ));
            }
        }
        self.check()
    }

    /// People in all rooms together.
    #[must_use]
    pub fn participants(&self) -> usize {
        let per_room = self
            .groups
            .iter()
            .fold(0_usize, |sum, group| sum.saturating_add(group.count));
        per_room.saturating_mul(self.rooms)
    }

    /// How many people of one room have a microphone.
    #[must_use]
    pub fn microphones(&self) -> usize {
        let groups = self.groups.iter().filter(|group| group.role != Role::Audience);
        groups.map(|group| group.count).sum()
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let people = self.participants();
        if people == 0 || people > MOST_PARTICIPANTS {
            return Err(value(
                "groups",
                format!("between 1 and {MOST_PARTICIPANTS} people are possible, not {people}"),
            ));
        }
        if self.duration.is_zero() {
            return Err(value("duration", "nothing is measured in no time"));
        }
        let end = self.warm_up + self.duration;
        if let Some(fault) = self.faults.iter().find(|fault| fault.at >= end) {
            return Err(value(
                "faults",
                format!("{} comes after the end of the run", fault.kind),
            ));
        }
        Ok(())
    }
}

fn checked_regions(raw: Vec<RawRegion>) -> Result<Vec<Region>, ScenarioError> {
    if raw.is_empty() || raw.len() > MOST_REGIONS {
        return Err(value(
            "regions",
            format!("between 1 and {MOST_REGIONS} are possible"),
        ));
    }
    if !raw[0].node || !raw.is_sorted_by_key(|region| !region.node) {
        return Err(value(
            "regions",
            "at least one with a node is needed, and those without come last",
        ));
    }
    let mut names = BTreeSet::new();
    raw.into_iter()
        .enumerate()
        .map(|(at, region)| {
            let place = |key: &str| format!("regions[{at}].{key}");
            let letters =
                |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
            if region.name.is_empty() || region.name.len() > 32 || !region.name.chars().all(letters) {
                return Err(value(
                    place("name"),
                    "lower-case letters, digits and - are needed, at most 32",
                ));
            }
            if !names.insert(region.name.clone()) {
                return Err(value(place("name"), format!("{:?} is there twice", region.name)));
            }
            if !(-90.0..=90.0).contains(&region.latitude) || !(-180.0..=180.0).contains(&region.longitude) {
                return Err(value(place("latitude"), "no place on Earth"));
            }
            Ok(Region {
                title: region.title.unwrap_or_else(|| region.name.clone()),
                name: region.name,
                latitude: region.latitude,
                longitude: region.longitude,
                node: region.node,
            })
        })
        .collect()
}

impl RawGroup {
    fn checked(self, at: usize, region: usize) -> Result<Group, ScenarioError> {
        let place = |key: &str| format!("groups[{at}].{key}");
        if !(1..=MOST_LAYERS).contains(&self.layers) {
            return Err(value(place("layers"), "1, 2 or 3 are possible"));
        }
        let tile = read_size(&place("tile"), self.tile.as_deref().unwrap_or("640x360"))?;
        let page = usize::try_from(self.page.unwrap_or(9)).unwrap_or(usize::MAX);
        let within = span(
            &place("arrive_within"),
            self.arrive_within.as_deref().unwrap_or("1s"),
        )?;
        Ok(Group {
            region,
            count: usize::try_from(self.count).unwrap_or(usize::MAX),
            role: self.role,
            codec: match self.codec {
                RawCodec::Vp8 => Codec::Vp8,
                RawCodec::H264 => Codec::H264,
            },
            layers: self.layers,
            layout: match self.layout {
                RawLayout::Grid => Layout::Grid { page, tile },
                RawLayout::Speaker => Layout::Speaker { strip: page },
                RawLayout::AudioOnly => Layout::AudioOnly,
            },
            client: self.client,
            at: span(&place("at"), self.at.as_deref().unwrap_or("0s"))?,
            arrival: match self.arrival {
                RawArrival::Even => Arrival::Even(within),
                RawArrival::Random => Arrival::Random(within),
            },
        })
    }
}

fn read_size(place: &str, text: &str) -> Result<Picture, ScenarioError> {
    let parts = text
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    match parts {
        Some((width, height)) if (1..=8_192).contains(&width) && (1..=8_192).contains(&height) => {
            Ok(Picture { width, height })
        }
        _ => Err(value(place, format!("{text:?} is no size; write 640x360"))),
    }
}

impl RawChurn {
    fn checked(self) -> Result<Churn, ScenarioError> {
        let mean_stay = span("churn.mean_stay", &self.mean_stay)?;
        let mean_away = span("churn.mean_away", &self.mean_away)?;
        if mean_stay < Duration::from_secs(1) || mean_away < Duration::from_millis(100) {
            return Err(value(
                "churn",
                "stays of at least 1s and absences of at least 100ms are needed",
            ));
        }
        Ok(Churn { mean_stay, mean_away })
    }
}

impl RawFault {
    fn checked(
        self,
        at: usize,
        known: &dyn Fn(&str) -> Result<(), ScenarioError>,
    ) -> Result<FaultSpec, ScenarioError> {
        let place = format!("faults[{at}]");
        let of_node = |make: fn(String) -> FaultKind| {
            let node = self
                .node
                .clone()
                .ok_or_else(|| value(&place, "`node` is needed"))?;
            known(&node)?;
            Ok(make(node))
        };
        let ends = || {
            let [a, b] = self
                .between
                .clone()
                .ok_or_else(|| value(&place, "`between` is needed"))?;
            known(&a)?;
            known(&b)?;
            Ok((a, b))
        };
        let kind = match self.kind.as_str() {
            "kill" => of_node(FaultKind::Kill)?,
            "pause" => of_node(FaultKind::Pause)?,
            "resume" => of_node(FaultKind::Resume)?,
            "drain" => of_node(FaultKind::Drain)?,
            "restart" => of_node(FaultKind::Restart)?,
            "cut" => ends().map(|(a, b)| FaultKind::Cut(a, b))?,
            "heal" => ends().map(|(a, b)| FaultKind::Heal(a, b))?,
            "degrade" => {
                let (a, b) = ends()?;
                let pairs = self.set.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                let change =
                    PropertyChange::parse(pairs).map_err(|error| value(&place, error.to_string()))?;
                let text: Vec<String> = self
                    .set
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                FaultKind::Degrade(a, b, change, text.join(" "))
            }
            other => {
                let possible = "kill, pause, resume, drain, restart, cut, heal and degrade";
                return Err(value(
                    place,
                    format!("{other:?} is no fault; there are {possible}"),
                ));
            }
        };
        Ok(FaultSpec {
            at: span(&place, &self.at)?,
            kind,
        })
    }
}
