//! One file per subcommand: its arguments, and the files, signals and output around the library's work.

pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod floor;
pub(crate) mod run;
mod run_summary;
pub(crate) mod scenario;
pub(crate) mod signal;
mod signals;
pub(crate) mod wan;
pub(crate) mod wan_accuracy;
mod wan_summary;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use loadtest::floor::FloorError;
use loadtest::run::RunError;
use loadtest::wan::{ConfigError, NamespacesError, WanError};
use thiserror::Error;

/// The input is wrong, or what was asked for cannot be had here: trying again as it is cannot help. Also what
/// wrong arguments end with.
const REFUSED: u8 = 2;

/// It should have worked.
const FAILED: u8 = 1;

/// Why a command failed, as the last line of its output says it.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("{}: {source}", path.display())]
    Config { path: PathBuf, source: Box<ConfigError> },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Floor(#[from] FloorError),
    #[error(transparent)]
    Namespaces(#[from] NamespacesError),
    #[error("cannot write to the standard output: {0}")]
    Output(#[from] io::Error),
    /// Bad input or an impossible request of any command: ends with [`REFUSED`].
    #[error(transparent)]
    Refused(Box<dyn Error + Send + Sync>),
    #[error(transparent)]
    Run(RunError),
    #[error("the system refused to deliver signals: {0}")]
    Signals(io::Error),
    /// A scenario's limit was broken; the summary says which.
    #[error("a limit of the scenario does not hold")]
    Thresholds,
    #[error(transparent)]
    Wan(#[from] WanError),
}

impl CommandError {
    /// 2 for bad input and what cannot be had here, 1 for a failure.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let code = match self {
            Self::Config { .. } | Self::File { .. } | Self::Refused(_) => REFUSED,
            Self::Namespaces(error) => match error {
                NamespacesError::Config(_) | NamespacesError::Exists(_) | NamespacesError::NotPossible(_) => {
                    REFUSED
                }
                NamespacesError::Emulator(error) => of_emulator(error),
                _ => FAILED,
            },
            Self::Wan(error) => of_emulator(error),
            Self::Floor(FloorError::Load(_)) => REFUSED,
            Self::Floor(_) | Self::Output(_) | Self::Run(_) | Self::Signals(_) | Self::Thresholds => FAILED,
        };
        ExitCode::from(code)
    }
}

fn of_emulator(error: &WanError) -> u8 {
    match error {
        WanError::Bind { .. } | WanError::Config(_) => REFUSED,
        _ => FAILED,
    }
}
