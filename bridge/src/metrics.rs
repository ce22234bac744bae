//! Figures for Prometheus, read when somebody asks for them. Never labelled by room or participant: their number is
//! unbounded and their names are private.

mod directory;
mod links;
mod mesh;
mod shard;

use crate::control::MeshFeed;
use crate::directory::Desk;
use crate::shard::thread::ShardReport;
use crate::shard::{PassingShard, TrackRoutes};
use crate::tcp::{TcpCounters, counters};
use links::{LINK_FIGURES, LinkFigures};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use shard::SHARD_FIGURES;
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
    /// The directory outside of the mesh, where there is one.
    pub directory: Option<Arc<Desk>>,
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
        if let Some(desk) = &self.directory {
            directory::encode(&mut encoder, desk)?;
        }
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
