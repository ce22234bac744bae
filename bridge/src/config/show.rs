//! The effective configuration as TOML, secrets left out.

use super::keys::{self, Kind};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use toml::{Table, Value};

/// What stands in place of a secret.
const REDACTED: &str = "(secret)";

/// `effective` as a TOML file that could be read again but for its secrets.
#[must_use]
pub fn show(effective: &BTreeMap<String, Value>) -> String {
    let mut sections: BTreeMap<&str, Vec<(&str, Value)>> = BTreeMap::new();
    for (path, value) in effective {
        let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
        let kind = keys::find(path).map(|key| key.kind);
        sections
            .entry(section)
            .or_default()
            .push((name, redacted(kind, value)));
    }
    let mut text = String::new();
    for (section, values) in sections {
        let (maps, plain): (Vec<_>, Vec<_>) = values.into_iter().partition(|(_, value)| value.is_table());
        if !plain.is_empty() {
            write_section(
                &mut text,
                section,
                plain.iter().map(|(name, value)| (*name, value)),
            );
        }
        for (name, value) in &maps {
            let pairs = value
                .as_table()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.as_str(), value));
            write_section(&mut text, &format!("{section}.{name}"), pairs);
        }
    }
    text
}

fn write_section<'a>(text: &mut String, section: &str, values: impl Iterator<Item = (&'a str, &'a Value)>) {
    let blank = if text.is_empty() { "" } else { "\n" };
    // Writing to a String does not fail.
    let _ = writeln!(text, "{blank}[{section}]");
    for (name, value) in values {
        let bare = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let name = if bare {
            name.to_owned()
        } else {
            Value::String(name.to_owned()).to_string()
        };
        let _ = writeln!(text, "{name} = {value}");
    }
}

fn redacted(kind: Option<Kind>, value: &Value) -> Value {
    let secret = || Value::String(REDACTED.to_owned());
    match (kind, value) {
        (Some(Kind::Secret), _) => secret(),
        (Some(Kind::SecretMap), Value::Table(table)) => Value::Table(
            table
                .keys()
                .map(|name| (name.clone(), secret()))
                .collect::<Table>(),
        ),
        _ => value.clone(),
    }
}
