//! What a run has measured, as data with a documented schema, and its renderings.
//!
//! [`data`] is the schema of `report.json` and renders nothing; the renderings are pure functions from it to text. Nothing
//! here measures.

pub mod data;
mod distribution;

pub use distribution::{Distribution, Point};
