//! What other nodes have told or asked, above all against the rules or too much of.

use super::counter;
use bridge_core::mesh::view::MeshCounters;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;

/// Name, what it is, and where it stands.
type Figure = (&'static str, &'static str, fn(&MeshCounters) -> u64);

const FIGURES: &[Figure] = &[
    ("mesh_rows_refused", "rows not signed by whom they are of", |c| {
        c.rows_refused + c.rows_in_our_name
    }),
    ("mesh_rows_dropped", "rows over a limit or a rate", |c| {
        c.rows_over_limit + c.rows_over_rate
    }),
    (
        "mesh_questions_refused",
        "questions for rows over their rate",
        |c| c.row_questions_refused,
    ),
    ("mesh_records_refused", "people a peer may not bring", |c| {
        c.records_refused + c.data_refused
    }),
    (
        "mesh_participants_evicted",
        "people of the node with the most who gave way in a full room",
        |c| c.participants_evicted,
    ),
    (
        "mesh_steered",
        "sessions opened with their media on another node",
        |c| c.steered,
    ),
    (
        "mesh_steered_lost",
        "of these, ended because that node or the link to it was lost",
        |c| c.steered_lost,
    ),
    (
        "mesh_steps_refused",
        "commands and facts of other nodes that they have no right to",
        |c| c.steps_refused,
    ),
];

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, counters: &MeshCounters) -> fmt::Result {
    FIGURES
        .iter()
        .try_for_each(|(name, help, read)| counter(encoder, name, help, read(counters)))
}
