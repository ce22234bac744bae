//! Figures of links.

use crate::link::LinkStats;
use bridge_core::mesh::view::LinkView;

/// A link as the core and as QUIC see it.
pub(super) type LinkFigures = (LinkView, LinkStats);
/// Name, help, and how it is read. All are gauges: a new link begins anew.
pub(super) type LinkFigure = (&'static str, &'static str, fn(&LinkFigures) -> f64);
pub(super) const LINK_FIGURES: &[LinkFigure] = &[
    ("link_up", "whether the link stands", |(view, _)| {
        f64::from(u8::from(view.link.is_some()))
    }),
    ("link_rtt_seconds", "smoothed round trip", |(view, _)| {
        view.rtt.map_or(f64::NAN, |rtt| rtt.as_secs_f64())
    }),
    ("link_loss_ratio", "lost share of packets", |(_, stats)| {
        f64::from(stats.loss_ppm) / 1e6
    }),
    (
        "link_rate_bits_per_second",
        "what the link is taken to carry",
        |(_, stats)| stats.rate_bps as f64,
    ),
    (
        "link_used_bits_per_second",
        "what the peer confirmed lately",
        |(_, stats)| stats.delivered_bps as f64,
    ),
    (
        "link_queue_seconds",
        "delay that stands in queues on the way",
        |(_, stats)| stats.queue.as_secs_f64(),
    ),
    (
        "link_shed_tracks",
        "tracks of which larger layers do not cross for want of room",
        |(_, stats)| stats.shed.tracks as f64,
    ),
    (
        "link_paused_tracks",
        "tracks of which nothing crosses for want of room",
        |(_, stats)| stats.shed.paused as f64,
    ),
    (
        "link_shed_datagrams",
        "datagrams that did not cross this link for want of room",
        |(_, stats)| stats.shed.datagrams as f64,
    ),
    (
        "link_steered_to",
        "sessions of clients of this node with their media on the peer",
        |(link, _)| link.steered_to as f64,
    ),
    (
        "link_steered_from",
        "sessions of clients of the peer with their media here",
        |(link, _)| link.steered_from as f64,
    ),
    (
        "link_parity_datagrams",
        "parities of sound sent on this link",
        |(_, stats)| stats.parities as f64,
    ),
    (
        "link_recovered_datagrams",
        "datagrams of sound that were lost on this link and made from parities",
        |(_, stats)| stats.recovered as f64,
    ),
    (
        "link_padding_bytes",
        "bytes sent to find out whether this link carries more",
        |(_, stats)| stats.padding_bytes as f64,
    ),
    (
        "link_sent_bytes",
        "bytes of datagrams sent on this link",
        |(_, stats)| stats.sent.bytes as f64,
    ),
    (
        "link_received_bytes",
        "bytes of datagrams received on this link",
        |(_, stats)| stats.received.bytes as f64,
    ),
    (
        "link_media_bytes",
        "bytes of media sent on this link, as they were published",
        |(_, stats)| stats.sent.media.bytes as f64,
    ),
    (
        "link_media_packets",
        "packets of media sent on this link",
        |(_, stats)| stats.sent.media.datagrams as f64,
    ),
    (
        "link_repeated_packets",
        "of these, those that had crossed before: repairs, and copies that nobody needs",
        |(_, stats)| stats.sent.media.repeated as f64,
    ),
    (
        "link_dropped_datagrams",
        "datagrams dropped before this link",
        |(_, stats)| (stats.dropped.total() + stats.oversized) as f64,
    ),
];
