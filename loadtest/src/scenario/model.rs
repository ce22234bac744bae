//! What a scenario consists of.

use std::time::Duration;

use serde::Deserialize;

use super::thresholds::Limit;
use crate::trace::Codec;
use crate::wan::LinkProperties;
use crate::wan::change::PropertyChange;
use crate::worker::Layout;

/// A place with one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its name, and that of its node.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Degrees, south negative.
    pub latitude: f64,
    /// Degrees, west negative.
    pub longitude: f64,
    /// Whether a node stands there. People of a place without one use the nearest, over the link between: a home, a train.
    pub node: bool,
}

/// Both directions between two regions, by their places.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkSpec {
    /// One end.
    pub a: usize,
    /// The other.
    pub b: usize,
    /// What both directions do.
    pub properties: LinkProperties,
}

/// What people of a group do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends sound and a picture.
    Speaker,
    /// Sends sound and a shared screen.
    Presenter,
    /// Sends sound only.
    AudioOnly,
    /// Sends nothing.
    Audience,
}

/// What kind of client a group uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// Our own, hundreds per core.
    #[default]
    Light,
    /// Real Chromium.
    Browser,
}

/// When people of a group come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// One after the other in equal distances, all within this time.
    Even(Duration),
    /// At random times within this time.
    Random(Duration),
}

/// People who do the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Their region.
    pub region: usize,
    /// How many there are in each room.
    pub count: usize,
    /// What they do.
    pub role: Role,
    /// Codec of their pictures.
    pub codec: Codec,
    /// Simulcast layers of their cameras.
    pub layers: u8,
    /// Which pictures they want.
    pub layout: Layout,
    /// What they use.
    pub client: ClientKind,
    /// When the first comes.
    pub at: Duration,
    /// How the others follow.
    pub arrival: Arrival,
}

/// How people talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpeechModel {
    /// One after the other, with spurts and overlaps after ITU-T P.59.
    #[default]
    Turns,
    /// Everybody for himself, spurts and pauses of ITU-T P.59.
    P59,
    /// All the time.
    Always,
    /// Never.
    None,
}

/// People who come and go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// Mean time in the room (exponential).
    pub mean_stay: Duration,
    /// Mean time until somebody comes back (exponential).
    pub mean_away: Duration,
}

/// A fault.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// The node dies at once.
    Kill(String),
    /// Its time stands still.
    Pause(String),
    /// And goes on.
    Resume(String),
    /// It is asked to end in order.
    Drain(String),
    /// It is started again, ended first if need be.
    Restart(String),
    /// Both directions between two nodes go dead.
    Cut(String, String),
    /// And carry again.
    Heal(String, String),
    /// They become worse, or better.
    Degrade(String, String, PropertyChange, String),
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kill(node) => write!(f, "kill {node}"),
            Self::Pause(node) => write!(f, "pause {node}"),
            Self::Resume(node) => write!(f, "resume {node}"),
            Self::Drain(node) => write!(f, "drain {node}"),
            Self::Restart(node) => write!(f, "restart {node}"),
            Self::Cut(a, b) => write!(f, "cut {a} {b}"),
            Self::Heal(a, b) => write!(f, "heal {a} {b}"),
            Self::Degrade(a, b, _, text) => write!(f, "degrade {a} {b} {text}"),
        }
    }
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultSpec {
    /// After the start of the run.
    pub at: Duration,
    /// What happens.
    pub kind: FaultKind,
}

/// A scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub description: String,
    /// Where all randomness comes from.
    pub seed: u64,
    /// How long the measurement lasts, after the warm-up.
    pub duration: Duration,
    /// What comes before and is not measured.
    pub warm_up: Duration,
    /// Rooms; every group is in each of them.
    pub rooms: usize,
    /// Places.
    pub regions: Vec<Region>,
    /// Links between them; what is not named is perfect.
    pub links: Vec<LinkSpec>,
    /// People.
    pub groups: Vec<Group>,
    /// How they talk.
    pub speech: SpeechModel,
    /// How many sounds of a room a mesh forwards at once: the loudest. 0: all, and every frame of sound is expected.
    pub loudest_sounds: usize,
    /// Whether they come and go.
    pub churn: Option<Churn>,
    /// What goes wrong, in order of time.
    pub faults: Vec<FaultSpec>,
    /// What decides the exit code.
    pub thresholds: Vec<Limit>,
}
