//! What a run has measured, as data with a documented schema, and its renderings.
//!
//! [`data`] is the schema of `report.json` and renders nothing; [`html`], [`markdown`] and [`compare`] are pure functions
//! from it to text or rows. Nothing here measures.

pub mod compare;
pub mod data;
mod distribution;
pub mod html;
pub mod markdown;
#[cfg(test)]
mod tests;
mod trend;

pub use distribution::{Distribution, Point};
pub use trend::Trend;
