//! Whole nodes in processes of their own, as an operator runs them.

mod mesh;
mod process;
mod startup;
