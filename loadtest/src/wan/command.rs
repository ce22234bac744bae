//! The commands an emulator obeys while it runs, and the text form they have on the control socket.
//!
//! One line is one command:
//!
//! ```text
//! cut fra sin                           both directions go dead; what is under way is lost too
//! heal fra sin                          both directions carry again
//! set fra sin delay=80ms loss=1%        changes both directions; other properties stay
//! set fra sin profile=lte               all properties at once
//! cut fra>sin                           `fra>sin` instead of two names: that direction alone
//! stats                                 counters of every link
//! ```
//!
//! The answer is one line: `ok`, the statistics as JSON, or `error: ` and what is wrong.

use thiserror::Error;

use super::change::{ChangeError, PropertyChange};

/// Longest line the control socket accepts, in bytes.
pub const LONGEST_LINE_BYTES: usize = 1024;

/// Longest name of a node, in bytes.
pub const LONGEST_NAME_BYTES: usize = 32;

/// Which links a command concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Between {
    /// The links of both directions.
    Both(String, String),
    /// The link from the first node to the second.
    OneWay(String, String),
}

impl Between {
    /// Both directions between two nodes.
    pub fn both(one: &str, other: &str) -> Self {
        Self::Both(one.to_owned(), other.to_owned())
    }

    /// The direction `from` to `to` alone.
    pub fn one_way(from: &str, to: &str) -> Self {
        Self::OneWay(from.to_owned(), to.to_owned())
    }

    /// The directed links meant, as `(from, to)`.
    pub fn directions(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Both(one, other) => vec![(one, other), (other, one)],
            Self::OneWay(from, to) => vec![(from, to)],
        }
    }
}

/// Something to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Lose everything, also what is under way.
    Cut(Between),
    /// Carry again after a cut.
    Heal(Between),
    /// Change properties.
    Set(Between, PropertyChange),
    /// Report the counters.
    Stats,
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum CommandError {
    /// The change of `set` is wrong.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// `set` without any property.
    #[error("set changes nothing: add for example delay=80ms")]
    EmptyChange,
    /// No nodes, or one.
    #[error("name two nodes: `fra sin` for both directions or `fra>sin` for one")]
    Names,
    /// Words after a complete command.
    #[error("`{0}` does not belong there")]
    Surplus(String),
    /// Not a command at all.
    #[error("`{0}` is not a command: use cut, heal, set or stats")]
    Unknown(String),
}

impl Command {
    /// Reads one line without its line end.
    ///
    /// # Errors
    /// [`CommandError`] says what is wrong and what would be right.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let mut words = line.split_ascii_whitespace();
        let command = match words.next().unwrap_or_default() {
            "cut" => Self::Cut(parse_between(&mut words)?),
            "heal" => Self::Heal(parse_between(&mut words)?),
            "set" => Self::Set(parse_between(&mut words)?, parse_change(&mut words)?),
            "stats" => Self::Stats,
            unknown => return Err(CommandError::Unknown(unknown.to_owned())),
        };
        match words.next() {
            None => Ok(command),
            Some(word) => Err(CommandError::Surplus(word.to_owned())),
        }
    }
}

fn parse_between<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Between, CommandError> {
    let first = words.next().ok_or(CommandError::Names)?;
    if let Some((from, to)) = first.split_once('>') {
        return if is_name(from) && is_name(to) {
            Ok(Between::one_way(from, to))
        } else {
            Err(CommandError::Names)
        };
    }
    let second = words.next().ok_or(CommandError::Names)?;
    if is_name(first) && is_name(second) {
        Ok(Between::both(first, second))
    } else {
        Err(CommandError::Names)
    }
}

fn parse_change<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<PropertyChange, CommandError> {
    let pairs: Vec<(&str, &str)> = words
        .map(|word| word.split_once('=').unwrap_or((word, "")))
        .collect();
    if pairs.is_empty() {
        return Err(CommandError::EmptyChange);
    }
    Ok(PropertyChange::parse(pairs)?)
}

/// Whether `text` can name a node: letters, digits, `-`, `_` and `.`, at most [`LONGEST_NAME_BYTES`].
pub fn is_name(text: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    !text.is_empty() && text.len() <= LONGEST_NAME_BYTES && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wan::model::{BitRate, LinkProperties, Loss, Probability, Reorder};
    use crate::wan::profiles;

    #[test]
    fn two_names_mean_both_directions_and_an_arrow_means_one() {
        assert_eq!(
            Command::parse("cut fra sin"),
            Ok(Command::Cut(Between::both("fra", "sin")))
        );
        assert_eq!(
            Command::parse(" heal  fra>sin "),
            Ok(Command::Heal(Between::one_way("fra", "sin")))
        );
        assert_eq!(Between::both("a", "b").directions(), [("a", "b"), ("b", "a")]);
        assert_eq!(Between::one_way("a", "b").directions(), [("a", "b")]);
    }

    #[test]
    fn set_changes_what_it_names_and_nothing_else() {
        let Ok(Command::Set(between, change)) =
            Command::parse("set fra sin delay=80ms loss=1% rate=50mbit jitter=5ms reorder=2% reorder_by=9ms")
        else {
            panic!("not a set");
        };
        assert_eq!(between, Between::both("fra", "sin"));
        let before = LinkProperties {
            queue: Duration::from_millis(33),
            duplicate: Probability::new(0.5).unwrap(),
            ..LinkProperties::default()
        };
        let expected = LinkProperties {
            delay: Duration::from_millis(80),
            jitter: Duration::from_millis(5),
            loss: Loss::Uniform(Probability::new(0.01).unwrap()),
            reorder: Some(Reorder {
                share: Probability::new(0.02).unwrap(),
                by: Duration::from_millis(9),
            }),
            duplicate: Probability::new(0.5).unwrap(),
            rate: BitRate::from_bps(50_000_000),
            queue: Duration::from_millis(33),
        };
        assert_eq!(change.applied_to(&before), expected);
    }

    #[test]
    fn a_limit_can_be_lifted_and_losses_can_come_in_bursts() {
        let Ok(Command::Set(_, change)) = Command::parse("set a>b rate=unlimited loss=2% burst=5") else {
            panic!("not a set");
        };
        assert_eq!(change.rate, Some(None));
        assert!(matches!(change.loss, Some(Loss::Bursts(_))));
    }

    #[test]
    fn a_profile_sets_everything_and_what_stands_beside_it_wins() {
        let Ok(Command::Set(_, change)) = Command::parse("set a b delay=9ms profile=lte") else {
            panic!("not a set");
        };
        let before = LinkProperties {
            duplicate: Probability::ONE,
            ..LinkProperties::default()
        };
        let expected = LinkProperties {
            delay: Duration::from_millis(9),
            ..profiles::profile("lte").unwrap()
        };
        assert_eq!(change.applied_to(&before), expected);
    }

    #[test]
    fn reordering_and_duplication_can_be_ended() {
        let Ok(Command::Set(_, change)) = Command::parse("set a b reorder=0% duplicate=0%") else {
            panic!("not a set");
        };
        let before = LinkProperties {
            reorder: Some(Reorder {
                share: Probability::ONE,
                by: Duration::from_millis(1),
            }),
            duplicate: Probability::ONE,
            ..LinkProperties::default()
        };
        assert_eq!(change.applied_to(&before), LinkProperties::default());
    }

    #[test]
    fn wrong_lines_are_refused_with_a_sentence() {
        for (line, part) in [
            ("", "not a command"),
            ("explode a b", "not a command"),
            ("cut a", "name two nodes"),
            ("cut a>", "name two nodes"),
            ("cut a b c", "`c` does not belong"),
            ("stats now", "`now` does not belong"),
            ("set a b", "changes nothing"),
            ("set a b delay", "is not a duration"),
            ("set a b delay=1ms delay=2ms", "twice"),
            ("set a b burst=3", "needs `loss`"),
            ("set a b loss=90% burst=2", "longer"),
            ("set a b speed=1", "not a property"),
            ("set a b reorder=1%", "need each other"),
            ("set a b reorder_by=1ms", "need each other"),
            ("set a b duplicate=2", "is not a percentage"),
            ("set a b profile=5g", "is not a profile"),
        ] {
            let error = Command::parse(line).unwrap_err().to_string();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
