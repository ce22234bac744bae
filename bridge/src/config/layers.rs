//! Raw values with their origin: file, environment, command line, each over the one before.

use super::keys::{self, Kind};
use super::reader::ConfigErrors;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where a value was stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the configuration file.
    File(PathBuf),
    /// In an environment variable.
    Variable(String),
    /// In a flag.
    Flag(String),
    /// By the program itself (`causeway dev`).
    Program,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Program => f.write_str("set by this command"),
        }
    }
}

/// Raw values by full key name. Unknown keys and wrong kinds are noted as errors and surface in
/// `parse`, together with everything else that is wrong.
#[derive(Debug, Default)]
pub struct Layers {
    pub(super) values: BTreeMap<String, (Value, Origin)>,
    pub(super) errors: ConfigErrors,
}

impl Layers {
    /// Adds the file at `path`, whose text is `text`.
    pub fn add_file(&mut self, path: &Path, text: &str) {
        let origin = Origin::File(path.to_owned());
        match text.parse::<Table>() {
            Ok(table) => self.add_table("", table, &origin),
            Err(error) => self
                .errors
                .add(format!("{}: {}", path.display(), error.to_string().trim_end())),
        }
    }

    /// Adds every variable that belongs to a section of the configuration.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        let known: BTreeMap<String, &'static str> = keys::all()
            .map(|key| (keys::variable(key.path), key.path))
            .collect();
        let sections: Vec<String> = keys::all()
            .filter_map(|key| key.path.split_once('.'))
            .map(|(section, _)| format!("{}_", keys::variable(section)))
            .collect();
        let mut variables: Vec<_> = variables.collect();
        variables.sort();
        for (name, text) in variables {
            let origin = Origin::Variable(name.clone());
            match known.get(&name) {
                Some(path) => self.add_text(path, &text, origin),
                None if sections.iter().any(|section| name.starts_with(section)) => {
                    let meant = super::nearest::nearest(&name, known.keys().map(String::as_str));
                    self.errors.add(unknown("environment variable", &name, meant));
                }
                None => {}
            }
        }
    }

    /// Adds a flag's value.
    pub fn add_flag(&mut self, path: &str, text: &str) {
        self.add_text(path, text, Origin::Flag(format!("--{path}")));
    }

    /// Adds what the program itself decides, below everything the operator says.
    pub fn add_default(&mut self, path: &str, value: Value) {
        self.values
            .entry(path.to_owned())
            .or_insert((value, Origin::Program));
    }

    /// The string stated for a key, as it is.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.values.get(path).and_then(|(value, _)| value.as_str())
    }

    fn add_table(&mut self, prefix: &str, table: Table, origin: &Origin) {
        for (name, value) in table {
            let path = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            match (keys::find(&path), value) {
                (Some(key), value) => self.add_checked(key, value, origin.clone()),
                (None, Value::Table(inner)) if keys::is_section(&path) => {
                    self.add_table(&path, inner, origin)
                }
                (None, _) if keys::is_section(&path) => {
                    self.errors
                        .add(format!("{path} is a section, not a value ({origin})"));
                }
                (None, _) => {
                    let text = unknown("key", &path, keys::suggestion(&path));
                    self.errors.add(format!("{text} ({origin})"));
                }
            }
        }
    }

    fn add_checked(&mut self, key: keys::Key, value: Value, origin: Origin) {
        if fits(key.kind, &value) {
            self.values.insert(key.path.to_owned(), (value, origin));
        } else {
            let expected = expectation(key.kind);
            self.errors.add(format!(
                "{}: expected {expected}, found {} ({origin})",
                key.path,
                value.type_str()
            ));
        }
    }

    fn add_text(&mut self, path: &str, text: &str, origin: Origin) {
        let Some(key) = keys::find(path) else {
            self.errors.add(unknown("key", path, keys::suggestion(path)));
            return;
        };
        match value_of(key.kind, text) {
            Some(value) => self.add_checked(key, value, origin),
            None => self
                .errors
                .add(format!("{path}: expected {} ({origin})", expectation(key.kind))),
        }
    }
}

fn unknown(what: &str, name: &str, meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("unknown {what} {name}; did you mean {meant}?"),
        None => format!("unknown {what} {name}"),
    }
}

fn fits(kind: Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Text | Kind::Secret, Value::String(_))
        | (Kind::Number, Value::Float(_) | Value::Integer(_))
        | (Kind::Switch, Value::Boolean(_)) => true,
        (Kind::Count, Value::Integer(number)) => *number >= 0,
        (Kind::List, Value::Array(items)) => items.iter().all(Value::is_str),
        (Kind::Map | Kind::SecretMap, Value::Table(table)) => table.values().all(Value::is_str),
        _ => false,
    }
}

const fn expectation(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Secret => "a string",
        Kind::Number => "a number",
        Kind::Count => "a whole number",
        Kind::Switch => "true or false",
        Kind::List => "a list of strings",
        Kind::Map | Kind::SecretMap => "a table of strings (name=value,name=value in a flag or variable)",
    }
}

/// A raw value from a flag or variable.
fn value_of(kind: Kind, text: &str) -> Option<Value> {
    let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
    Some(match kind {
        Kind::Text | Kind::Secret => Value::String(text.to_owned()),
        Kind::Number => Value::Float(text.trim().parse().ok()?),
        Kind::Count => Value::Integer(text.trim().parse().ok()?),
        Kind::Switch => Value::Boolean(text.trim().parse().ok()?),
        Kind::List => Value::Array(parts().map(|part| Value::String(part.to_owned())).collect()),
        Kind::Map | Kind::SecretMap => {
            let pair = |part: &str| {
                let (name, value) = part.split_once('=')?;
                Some((name.trim().to_owned(), Value::String(value.trim().to_owned())))
            };
            Value::Table(parts().map(pair).collect::<Option<Table>>()?)
        }
    })
}
