//! Figures for Prometheus, read when somebody asks for them. Never labelled by room or participant: their number is
//! unbounded and their names are private.

mod links;
mod mesh;

use crate::control::MeshFeed;
use crate::shard::thread::ShardReport;
use crate::shard::{PassingShard, TrackRoutes};
use crate::tcp::{TcpCounters, counters};
use links::{LINK_FIGURES, LinkFigures};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Where the figures come from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Registry>);

/// What is looked at for each answer.
pub struct Sources {
    /// Signalling.
    pub signaling: Arc<signaling::Counters>,
    /// The shards, in order.
    pub shards: Vec<Arc<Mutex<ShardReport>>>,
    /// The shard of tracks that only pass through.
    pub passing: Arc<PassingShard>,
    /// What links had no shard for.
    pub tracks: Arc<TrackRoutes>,
    /// Connections of clients by TCP.
    pub tcp: Arc<TcpCounters>,
    /// The mesh.
    pub feed: watch::Receiver<Option<Arc<MeshFeed>>>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

impl Metrics {
    /// Metrics over `sources`, all named `causeway_…`.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::with_prefix("causeway");
        registry.register_collector(Box::new(sources));
        Self(Arc::new(registry))
    }

    /// The answer of `/metrics` (OpenMetrics text).
    ///
    /// # Errors
    /// Never in practice: writing to a string does not fail.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut answer = String::new();
        text::encode(&mut answer, &self.0)?;
        Ok(answer)
    }
}

/// Name, help, whether it is a gauge, and where it stands in a report.
type ShardFigure = (&'static str, &'static str, bool, fn(&ShardReport) -> u64);
const SHARD_FIGURES: &[ShardFigure] = &[
    ("shard_sessions", "client sessions now", true, |r| {
        r.counters.sessions
    }),
    ("shard_rooms", "rooms now", true, |r| r.counters.rooms),
    ("shard_tracks", "tracks now, local and remote", true, |r| {
        r.counters.tracks
    }),
    ("shard_legs", "tracks times viewers now", true, |r| {
        r.counters.legs
    }),
    ("shard_cpu_us", "processor time, in microseconds", false, |r| {
        u64::try_from(r.cpu.as_micros()).unwrap_or(u64::MAX)
    }),
    ("shard_datagrams_in", "datagrams from clients", false, |r| {
        r.counters.datagrams_in
    }),
    ("shard_datagrams_unknown", "datagrams of no session", false, |r| {
        r.counters.datagrams_unknown
    }),
    ("shard_packets_in", "media packets from clients", false, |r| {
        r.counters.packets_in
    }),
    (
        "shard_sounds_recovered",
        "lost packets of sound that a later one repeated",
        false,
        |r| r.counters.sounds_recovered,
    ),
    (
        "shard_sounds_forwarded",
        "sounds that are forwarded now, where only the loudest are",
        true,
        |r| r.counters.sounds_forwarded,
    ),
    (
        "shard_sounds_withheld",
        "packets of sound not forwarded because others were louder",
        false,
        |r| r.counters.sounds_withheld,
    ),
    ("shard_packets_refused", "media packets refused", false, |r| {
        r.counters.packets_refused
    }),
    (
        "shard_refused_malformed",
        "datagrams of clients that are nothing",
        false,
        |r| r.counters.refused.malformed,
    ),
    (
        "shard_refused_stun",
        "connectivity checks that are not authentic",
        false,
        |r| r.counters.refused.stun_refused,
    ),
    (
        "shard_refused_dtls_unvalidated",
        "DTLS from addresses without a check",
        false,
        |r| r.counters.refused.dtls_unvalidated,
    ),
    (
        "shard_refused_dtls",
        "DTLS that is no record, or more than a handshake takes",
        false,
        |r| r.counters.refused.dtls_refused,
    ),
    (
        "shard_refused_before_keys",
        "media before there are keys",
        false,
        |r| r.counters.refused.before_keys,
    ),
    (
        "shard_refused_forged",
        "media and reports that are not authentic",
        false,
        |r| r.counters.refused.forged,
    ),
    (
        "shard_refused_replayed",
        "media and reports seen before",
        false,
        |r| r.counters.refused.replayed,
    ),
    (
        "shard_refused_ssrcs",
        "streams of clients over the limit",
        false,
        |r| r.counters.refused.ssrcs_refused,
    ),
    (
        "shard_refused_unroutable",
        "authentic media of no section",
        false,
        |r| r.counters.refused.unroutable,
    ),
    (
        "shard_refused_bad_rtcp",
        "reports that cannot be read",
        false,
        |r| r.counters.refused.bad_rtcp,
    ),
    (
        "shard_refused_bad_sctp",
        "packets of data channels that are not sound",
        false,
        |r| r.counters.refused.bad_sctp,
    ),
    (
        "shard_refused_data_dropped",
        "messages of unknown channels or over the limit",
        false,
        |r| r.counters.refused.data_dropped,
    ),
    (
        "shard_refused_transmit_dropped",
        "reports and handshakes dropped because too many waited",
        false,
        |r| r.counters.refused.transmit_dropped,
    ),
    ("shard_batches_out", "batches of media to clients", false, |r| {
        r.counters.batches_out
    }),
    ("shard_bytes_out", "bytes of media to clients", false, |r| {
        r.counters.bytes_out
    }),
    (
        "shard_padding_bytes_out",
        "bytes of padding sent to find out how wide clients' paths are",
        false,
        |r| r.counters.padding_bytes_out,
    ),
    (
        "shard_packets_flooded",
        "media packets dropped because their client sends too many",
        false,
        |r| r.counters.packets_flooded,
    ),
    ("shard_repairs_out", "packets sent again", false, |r| {
        r.counters.repairs_out
    }),
    ("shard_repairs_refused", "repairs refused", false, |r| {
        r.counters.repairs_refused
    }),
    ("shard_keyframe_requests", "keyframes asked for", false, |r| {
        r.counters.keyframe_requests
    }),
    (
        "shard_relay_in",
        "datagrams from links and other media threads",
        false,
        |r| r.counters.relay_in,
    ),
    (
        "shard_relay_refused",
        "datagrams from links refused",
        false,
        |r| r.counters.relay_refused,
    ),
    (
        "shard_uninvited",
        "of those, media of nodes that were not asked for it",
        false,
        |r| r.counters.uninvited,
    ),
    (
        "shard_relay_out",
        "datagrams to links and other media threads",
        false,
        |r| r.counters.relay_out,
    ),
    (
        "shard_transit_tracks",
        "tracks of other nodes that only pass through, now",
        true,
        |r| r.counters.transit_tracks,
    ),
    (
        "shard_transit_out",
        "datagrams of other nodes sent on to others",
        false,
        |r| r.counters.transit_out,
    ),
    (
        "shard_transit_expired",
        "of other nodes' datagrams, those that had no hops left",
        false,
        |r| r.counters.transit_expired,
    ),
    ("shard_relay_dropped", "of those, dropped", false, |r| {
        r.counters.relay_dropped
    }),
    (
        "shard_relay_unlinked",
        "datagrams for nodes without a link",
        false,
        |r| r.unlinked,
    ),
    (
        "shard_tcp_unconnected",
        "packets for TCP connections that were gone",
        false,
        |r| r.unconnected,
    ),
    ("shard_send_full", "datagrams a full socket dropped", false, |r| {
        r.failures.full
    }),
    ("shard_send_refused", "datagrams the system refused", false, |r| {
        r.failures.refused
    }),
];

/// A figure with one value per label.
type Labelled = Vec<(String, f64)>;

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, value) in self.signaling.each() {
            counter(
                &mut encoder,
                &format!("signaling_{name}"),
                "signalling: what the name says",
                value,
            )?;
        }
        gauge(
            &mut encoder,
            "signaling_sessions",
            "sessions open now",
            self.signaling.sessions.value() as f64,
        )?;
        gauge(
            &mut encoder,
            "signaling_rooms",
            "rooms with a session here now",
            self.signaling.rooms.value() as f64,
        )?;
        self.encode_shards(&mut encoder)?;
        for (name, help, is_gauge, read) in counters::FIGURES {
            let value = read(&self.tcp).load(Ordering::Relaxed);
            if *is_gauge {
                gauge(&mut encoder, name, help, value as f64)?;
            } else {
                counter(&mut encoder, name, help, value)?;
            }
        }
        counter(
            &mut encoder,
            "relay_unrouted",
            "datagrams of links without a shard",
            self.tracks.unrouted(),
        )?;
        counter(
            &mut encoder,
            "relay_overflowed",
            "datagrams shards had no room for",
            self.tracks.overflowed(),
        )?;
        self.encode_mesh(&mut encoder)
    }
}

impl Sources {
    fn encode_shards(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let reports: Vec<ShardReport> = self
            .shards
            .iter()
            .map(|report| *report.lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let passing = ("passing".to_owned(), self.passing.report());
        let named = (0..).map(|n: usize| n.to_string()).zip(reports);
        let reports: Vec<(String, ShardReport)> = named.chain([passing]).collect();
        for (name, help, is_gauge, read) in SHARD_FIGURES {
            let values: Labelled = reports
                .iter()
                .map(|(shard, report)| (shard.clone(), read(report) as f64))
                .collect();
            labelled(encoder, name, help, *is_gauge, "shard", &values)?;
        }
        Ok(())
    }

    fn encode_mesh(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(feed) = self.feed.borrow().clone() else {
            return Ok(());
        };
        let view = feed.view();
        gauge(encoder, "mesh_nodes", "nodes known", view.nodes.len() as f64)?;
        gauge(
            encoder,
            "mesh_nodes_alive",
            "nodes a live path leads to",
            count(view.nodes.iter().map(|n| n.alive)),
        )?;
        let refused = view.counters.links_refused + view.counters.protocol_violations;
        counter(
            encoder,
            "mesh_refused",
            "links refused and messages that broke the protocol",
            refused,
        )?;
        mesh::encode(encoder, &view.counters)?;
        let links: Vec<LinkFigures> = feed
            .links()
            .map(|(link, stats)| (link.clone(), stats.unwrap_or_default()))
            .collect();
        for (name, help, read) in LINK_FIGURES {
            let values: Labelled = links
                .iter()
                .map(|link| (link.0.name.to_string(), read(link)))
                .collect();
            labelled(encoder, name, help, true, "peer", &values)?;
        }
        Ok(())
    }
}

fn count(flags: impl Iterator<Item = bool>) -> f64 {
    flags.filter(|flag| *flag).count() as f64
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn labelled(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    is_gauge: bool,
    label: &str,
    values: &Labelled,
) -> fmt::Result {
    use prometheus_client::metrics::MetricType;
    let metric_type = if is_gauge {
        MetricType::Gauge
    } else {
        MetricType::Counter
    };
    let mut family = encoder.encode_descriptor(name, help, None, metric_type)?;
    for (value_of, value) in values {
        let labels = [(label, value_of.as_str())];
        let metric = family.encode_family(&labels)?;
        if is_gauge {
            ConstGauge::new(*value).encode(metric)?
        } else {
            ConstCounter::new(*value).encode(metric)?
        }
    }
    Ok(())
}
