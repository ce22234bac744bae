//! Structured logs. Names of nodes, rooms and sessions are fields; addresses of clients appear at debug level only.

use crate::config::LogConfig;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// Starts logging to standard error, as text or as JSON lines. `config.level` has been checked by the configuration.
///
/// # Errors
/// Where the process logs already.
pub fn start(config: &LogConfig) -> Result<(), TryInitError> {
    let filter = EnvFilter::new(&config.level);
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter);
    if config.json {
        builder.json().flatten_event(true).finish().try_init()
    } else {
        builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .finish()
            .try_init()
    }
}
