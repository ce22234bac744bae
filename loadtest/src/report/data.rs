//! The schema of `report.json`. Times are in milliseconds, rates in bits a second, shares between 0 and 1. What was not
//! measured is absent.

use serde::{Deserialize, Serialize};

use super::{Distribution, Trend};

/// Version of this schema; readers refuse others.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was done.
    pub run: Run,
    /// The servers.
    pub targets: Vec<Target>,
    /// The generator itself.
    pub generator: Generator,
    /// Limits of the scenario and whether they held.
    pub thresholds: Vec<Threshold>,
    /// The first two targets side by side, when both were measured in turns.
    #[serde(default)]
    pub comparison: Vec<Comparison>,
}

/// One figure of two targets, measured in turns. The better the smaller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Its name.
    pub figure: String,
    /// Median of the first target.
    pub a: f64,
    /// Median of the second target.
    pub b: f64,
    /// Median of the ratios second over first, run by run.
    pub ratio: f64,
    /// The smallest ratio.
    pub least: f64,
    /// The largest ratio.
    pub most: f64,
    /// Pairs of runs.
    pub runs: u64,
}

/// What was done, where and when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Name of the scenario.
    pub scenario: String,
    /// Its description.
    pub description: String,
    /// Its seed.
    pub seed: u64,
    /// Length of the measurement, without warm-up.
    pub measured_s: f64,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Short commit id, if the program runs in its repository.
    pub commit: Option<String>,
    /// Processor and cores.
    pub machine: String,
    /// Version of this tool.
    pub tool: String,
    /// Load average (1 min) at the start.
    pub load_average: Option<f64>,
    /// What a reader should know before he believes the figures.
    pub warnings: Vec<String>,
}

/// One server or mesh under test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// How it is called in tables.
    pub name: String,
    /// Where it is; empty for a mesh that was started for the run.
    pub url: String,
    /// Its nodes, as far as they are known.
    pub nodes: Vec<Node>,
    /// Its emulated links.
    pub links: Vec<Link>,
    /// What nodes sent each other, beside what viewers wanted; absent for a single node, and after faults.
    #[serde(default)]
    pub relay: Option<Relay>,
    /// How people came in.
    pub joins: Joins,
    /// Media by pair of regions, kind and client.
    pub media: Vec<Media>,
    /// What light clients asked for.
    #[serde(default)]
    pub requests: Requests,
    /// Light clients beside full ones.
    pub control: Vec<Control>,
    /// Who got whose media.
    pub matrix: Matrix,
    /// Faults, and what they did to whom.
    pub faults: Vec<Fault>,
    /// Nodes that were asked to drain and did not end with code 0 in time.
    #[serde(default)]
    pub unclean_ends: u64,
    /// How much of what people began to say the others missed, in milliseconds of sound; all of it where nothing came.
    #[serde(default)]
    pub clipped: Option<Distribution>,
    /// One entry per second.
    pub timeline: Vec<Second>,
    /// Steps of a ramp, if there was one.
    pub capacity: Vec<Step>,
}

/// A node of a mesh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// CPU time per packet sent to clients, in nanoseconds.
    pub cpu_ns_per_forwarded_packet: Option<f64>,
    /// Share of one core.
    pub cpu_share: Option<f64>,
    /// Memory at the end, in bytes.
    pub rss_bytes: Option<u64>,
    /// The most it had, in bytes.
    pub peak_rss_bytes: Option<u64>,
    /// Memory per participant, beyond what it had before the first and without the program's code, in bytes.
    pub rss_per_participant_bytes: Option<f64>,
    /// Participants here at the end.
    pub participants: u64,
    /// Packets its clients received.
    pub packets_out: u64,
    /// Packets its clients sent.
    pub packets_in: u64,
    /// Selected counters of `/metrics`, as their change over the measurement.
    pub counters: Vec<(String, f64)>,
    /// Processor time of each media thread over the measurement, in microseconds; empty where the server does not tell.
    #[serde(default)]
    pub shard_cpu_us: Vec<f64>,
    /// Memory in use at the end of each second of the measurement, in KiB; 0 where the node did not run.
    #[serde(default)]
    pub rss_kib: Vec<u64>,
    /// Whether it grows: the line through these; `None` for less than a minute, and where the node did not run all the time.
    #[serde(default)]
    pub rss_trend: Option<Trend>,
}

/// A directed link of the emulator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Sending node.
    pub from: String,
    /// Receiving node.
    pub to: String,
    /// Bytes carried in the measurement.
    pub bytes: u64,
    /// Datagrams carried.
    pub packets: u64,
    /// Share of datagrams the link lost.
    pub loss: f64,
    /// Bytes carried over the bytes of media that one copy of every stream seen at the far end takes.
    pub copies: Option<f64>,
    /// Bytes beyond one copy of every stream seen at the far end: media nobody there watched, second copies, repair, and
    /// what the link itself needs.
    #[serde(default)]
    pub unwatched_bytes: u64,
}

/// What nodes sent each other over all links together, by what they say themselves, beside what viewers wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Relay {
    /// Layers of tracks that came over links, counted at each node that got them.
    pub layers: u64,
    /// Copies of a layer that came to a node, over all links and repairs included; mean over layers and nodes.
    pub copies_mean: f64,
    /// The most copies of one layer that came to one node.
    pub copies_most: f64,
    /// Packets that had crossed the same link before: repairs and needless copies.
    pub repeated: u64,
    /// Bytes of media on all links, without headers and seals of the relay.
    pub media_bytes: u64,
    /// Bytes of one copy of everything that viewers of each node saw and heard of other nodes.
    pub ideal_bytes: u64,
    /// The one over the other.
    pub over_ideal: f64,
    /// Bytes on the wire, with what QUIC, its acknowledgements and nodes' own messages take, over the ideal ones.
    pub wire_over_ideal: f64,
    /// Mean one-way delay of frames from other nodes over that of the shortest ways there are.
    pub delay_over_shortest: Option<f64>,
    /// Bytes of media times the delay of the link they took, over what direct copies to each node would take (a star).
    pub star_share: f64,
    /// The least such share of any trees that make nobody later than 1.2 times and all together 1.05 times the shortest
    /// way, by trying all; absent where there are too many.
    pub least_star_share: Option<f64>,
}

/// What light clients asked of a server, and what they could make nothing of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Keyframes asked for.
    pub keyframes: u64,
    /// Packets asked for again.
    pub packets: u64,
    /// Packets of streams that no answer had announced.
    pub unknown: u64,
    /// Datagrams that are no RTP packet.
    pub malformed: u64,
    /// Offers made.
    #[serde(default)]
    pub offers: u64,
    /// Bytes of these and of the answers to them.
    #[serde(default)]
    pub offer_bytes: u64,
}

/// How people came in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Joins {
    /// Joins of the plan that were tried.
    pub planned: u64,
    /// Those that were let in and got media.
    pub succeeded: u64,
    /// Why others failed, and how many.
    pub failures: Vec<(String, u64)>,
    /// Until the server let them in.
    pub joined: Option<Distribution>,
    /// Until media could flow.
    pub connected: Option<Distribution>,
    /// Until the first frame of somebody, sound or picture, was whole.
    pub first_frame: Option<Distribution>,
    /// Until the first picture of somebody was whole.
    #[serde(default)]
    pub first_picture: Option<Distribution>,
}

/// Media of one kind from one region to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Media {
    /// Region of the senders.
    pub from: String,
    /// Region of the receivers.
    pub to: String,
    /// `audio`, `camera` or `screen`.
    pub kind: String,
    /// `light`, `full` or `browser`.
    pub client: String,
    /// One-way delay of frames, from the stamp at the sender to the last packet needed.
    pub delay: Option<Distribution>,
    /// One-way delay of the emulated path alone.
    pub nominal_delay_ms: Option<f64>,
    /// Frames that should have come.
    pub frames_expected: u64,
    /// Frames that could be shown or heard.
    pub frames: u64,
    /// Pairs of sender and receiver.
    pub legs: u64,
    /// Freezes or audio gaps.
    pub gaps: u64,
    /// Their time together.
    pub gap_ms: f64,
    /// Their share of the time of all legs.
    pub gap_ratio: f64,
    /// Lengths of the longest gaps of each leg.
    pub gap_lengths: Option<Distribution>,
    /// From a broken picture to its keyframe.
    pub keyframe_wait: Option<Distribution>,
    /// Share of frames in the layer that was wanted.
    pub wanted_layer: Option<f64>,
    /// Rate of one leg, mean.
    pub bit_rate_bps: f64,
}

/// Packets of all streams of one kind at all receivers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Packets {
    /// `audio` or `video`.
    pub kind: String,
    /// Numbers between the first and the last of each stream.
    pub expected: u64,
    /// Those that came at least once.
    pub received: u64,
    /// Share missing at first.
    pub loss_before_repair: f64,
    /// Share missing for good.
    pub loss_after_repair: f64,
    /// Those that came again.
    pub duplicates: u64,
    /// Those that came behind a later one without having been asked for.
    pub reordered: u64,
    /// Those that failed authentication.
    pub forged: u64,
}

/// One figure of light clients beside that of other clients in the same room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// What is compared.
    pub figure: String,
    /// `full` or `browser`.
    pub client: String,
    /// The light clients' value.
    pub light: f64,
    /// The other clients' value.
    pub other: f64,
    /// How far they may be apart.
    pub bound: f64,
    /// Whether they are not.
    pub agrees: bool,
}

/// Share of frames that arrived, by receiver (rows) and sender (columns).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Names of rows and columns: participants, or regions of a large run.
    pub names: Vec<String>,
    /// Audio; `None` where nothing was expected.
    pub audio: Vec<Vec<Option<f64>>>,
    /// Video of the wanted cameras and screens.
    pub video: Vec<Vec<Option<f64>>>,
}

/// A fault and what it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Seconds after the start of the run.
    pub at_s: f64,
    /// What was done, in words.
    pub what: String,
    /// The longest stretch without media of each participant that began with it, and before the next fault.
    pub gaps: Vec<FaultGap>,
    /// Audio gaps of those that had one.
    pub audio_gap: Option<Distribution>,
    /// Video gaps of those that had one.
    pub video_gap: Option<Distribution>,
}

/// What a fault did to one participant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultGap {
    /// Who.
    pub participant: String,
    /// Where.
    pub region: String,
    /// Longest audio gap; 0 for none.
    pub audio_gap_ms: f64,
    /// Longest video gap; 0 for none.
    pub video_gap_ms: f64,
    /// Whether it had to join again.
    pub rejoined: bool,
}

/// One second of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds after the start of the run.
    pub at_s: u64,
    /// People in.
    pub participants: u64,
    /// Frames shown or heard by all.
    pub frames: u64,
    /// Median one-way delay.
    pub p50_ms: f64,
    /// 99th percentile of it.
    pub p99_ms: f64,
}

/// One step of a ramp.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// People in.
    pub participants: u64,
    /// Packets a second the server sent.
    pub packets_per_s: f64,
    /// Share of one core the server used.
    pub cpu_share: f64,
    /// 99th percentile of the one-way delay.
    pub p99_ms: f64,
    /// Share of packets lost for good.
    pub loss: f64,
    /// Why the ramp ended here, if it did.
    pub stopped_because: Option<String>,
}

/// What the generator itself cost, and how well it measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Its threads.
    pub workers: u64,
    /// Share of one core that its threads used together.
    pub cpu_share: f64,
    /// Packets received a second.
    pub packets_per_s: f64,
    /// Packets of all streams, by kind.
    pub packets: Vec<Packets>,
    /// What it adds to the delays it states: datagrams to a bare UDP echo and back, without the echo's own pause.
    pub own_delay: Option<Distribution>,
    /// Datagrams the kernel refused to send.
    pub send_failed: u64,
    /// When media of each participant that sends began to flow, last: its number, and seconds after the start of the run.
    #[serde(default)]
    pub began_s: Vec<(u32, f64)>,
}

/// A limit and whether it held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Name of the figure.
    pub name: String,
    /// The limit, as written in the scenario.
    pub limit: String,
    /// What was measured; `None` when it was not, which fails.
    pub value: Option<f64>,
    /// Unit of the value.
    pub unit: String,
    /// Whether it held.
    pub passed: bool,
}
