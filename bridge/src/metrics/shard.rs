//! Figures of each media thread.

use crate::shard::thread::ShardReport;

/// Name, help, whether it is a gauge, and where it stands in a report.
pub(super) type ShardFigure = (&'static str, &'static str, bool, fn(&ShardReport) -> u64);

/// Every figure of a media thread.
pub(super) const SHARD_FIGURES: &[ShardFigure] = &[
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
