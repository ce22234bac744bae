//! Measurements that print a figure beside the floor of the machine, taken in the same run. They inform; no
//! test depends on them.

mod arrivals;
pub mod report;
pub mod scenarios;
pub mod wan_accuracy;
