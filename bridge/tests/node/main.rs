//! Whole nodes in processes of their own, as an operator runs them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod directory;
mod drain;
mod hostile;
mod light_clients;
mod load_scenarios;
mod mesh;
mod placement;
mod process;
mod startup;
mod steering;
mod tcp;
mod tcp_detour;
