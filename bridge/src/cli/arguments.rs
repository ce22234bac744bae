//! The commands and their flags.

use super::AnyError;
use super::drain::WITHIN;
use crate::config::{Config, Layers, keys, parse};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::path::Path;
use toml::Value;

/// Environment variable that names the configuration file.
const FILE_VARIABLE: &str = "CAUSEWAY_CONFIG";

pub(super) fn command() -> Command {
    Command::new("causeway")
        .about("Meetings that span regions: one node per region, joined by a peer list")
        .version(version())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(configured(
            "dev",
            "Run one node on loopback and print a meeting link",
        ))
        .subcommand(configured("node", "Run a node"))
        .subcommand(configured(
            "check-config",
            "Print the effective configuration, secrets left out",
        ))
        .subcommand(token())
        .subcommand(mesh())
        .subcommand(drain())
}

/// Version of the software and of the embedded location data, with the attribution its licence asks for.
fn version() -> String {
    format!("{}\n{}", env!("CARGO_PKG_VERSION"), geo::embedded::version_line())
}

fn token() -> Command {
    let required =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help).required(true);
    let create = configured("create", "Make a token for one person and one room")
        .arg(required("room", "Room the token is for"))
        .arg(required("identity", "Who it is for; unique in the room"))
        .arg(Arg::new("name").long("name").help("Display name"))
        .arg(
            Arg::new("valid-for")
                .long("valid-for")
                .help("Validity, for example 6h [default: auth.token_ttl]"),
        )
        .arg(
            Arg::new("listen-only")
                .long("listen-only")
                .help("May not publish")
                .action(ArgAction::SetTrue),
        );
    let inspect = configured(
        "inspect",
        "Say what a token allows and whether this configuration accepts it",
    )
    .arg(Arg::new("token").required(true).help("The token"));
    Command::new("token")
        .about("Make and read tokens")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(create)
        .subcommand(inspect)
}

fn mesh() -> Command {
    let status = configured("status", "Show the mesh as the node at http.listen sees it")
        .arg(
            Arg::new("url")
                .long("url")
                .help("Base URL of the node [default: http.listen]"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .help("Print the feed as it is")
                .action(ArgAction::SetTrue),
        );
    Command::new("mesh")
        .about("Look at the mesh")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(status)
}

fn drain() -> Command {
    configured(
        "drain",
        "Send everybody on a running node to other nodes, then end it; waits until it has ended",
    )
    .arg(
        Arg::new("within")
            .long("within")
            .help(format!("Time for it, for example 5m [default: {WITHIN}]")),
    )
    .arg(
        Arg::new("url")
            .long("url")
            .help("Base URL of the node [default: http.listen]"),
    )
}

/// A command that reads the configuration: `--config`, and a flag for every key.
fn configured(name: &'static str, about: &'static str) -> Command {
    let file = Arg::new("config")
        .long("config")
        .short('c')
        .value_name("FILE")
        .help(format!("Configuration file [environment: {FILE_VARIABLE}]"));
    let flags = keys::all().map(|key| {
        Arg::new(key.path)
            .long(key.path)
            .value_name("VALUE")
            .help(key.help)
            .help_heading("Configuration keys (also in the file, or as CAUSEWAY_SECTION_KEY)")
    });
    // The last of equal flags wins, so that a script's own can be put behind others.
    Command::new(name)
        .about(about)
        .args_override_self(true)
        .arg(file)
        .args(flags)
}

/// Reads the configuration a command was given. `defaults` may add what the command itself decides, below
/// everything the operator says.
pub(super) fn load(
    matches: &ArgMatches,
    defaults: impl FnOnce(&mut Layers),
) -> Result<(Config, BTreeMap<String, Value>), AnyError> {
    let mut layers = gather(matches)?;
    defaults(&mut layers);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(parse(layers, cores)?)
}

/// Gathers what file, environment and flags say, without judging it.
pub(super) fn gather(matches: &ArgMatches) -> Result<Layers, AnyError> {
    let mut layers = Layers::default();
    let named = matches
        .get_one::<String>("config")
        .cloned()
        .or_else(|| std::env::var(FILE_VARIABLE).ok());
    if let Some(path) = named {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
        layers.add_file(Path::new(&path), &text);
    }
    layers.add_environment(std::env::vars());
    for key in keys::all() {
        if let Some(text) = matches.get_one::<String>(key.path) {
            layers.add_flag(key.path, text);
        }
    }
    Ok(layers)
}
