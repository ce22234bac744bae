//! One file per subcommand: its arguments, and the files, signals and output around the library's work.

pub(crate) mod signal;
pub(crate) mod wan;
pub(crate) mod wan_accuracy;

use std::io;
use std::path::PathBuf;

use loadtest::wan::{ConfigError, WanError};
use thiserror::Error;

/// Why a command failed, as the last line of its output says it.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("{}: {source}", path.display())]
    Config { path: PathBuf, source: Box<ConfigError> },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot write to the standard output: {0}")]
    Output(#[from] io::Error),
    #[error("the system refused to deliver signals: {0}")]
    Signals(nix::Error),
    #[error(transparent)]
    Wan(#[from] WanError),
}
