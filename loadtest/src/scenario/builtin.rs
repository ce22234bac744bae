//! Scenarios that are part of the program.

use super::{Scenario, ScenarioError};

/// A scenario of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// How it is called.
    pub name: &'static str,
    text: &'static str,
}

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        &[$(Builtin {
            name: $name,
            text: include_str!(concat!("../../scenarios/", $name, ".toml")),
        }),*]
    };
}

const ALL: &[Builtin] = builtin![
    "smoke",
    "instrument",
    "s1-8",
    "s1-14",
    "s1-24",
    "s1-32",
    "s1-8x5",
    "s1-8x10",
    "s2",
    "s3",
    "s4",
    "s5",
    "s6",
    "s6-cut",
    "s7",
    "s7-60",
    "s8",
    "s9",
    "s10",
    "s11",
    "s12",
    "s13",
    "narrow",
    "continents",
    "continents-10",
    "churn",
];

/// All of them, in the order of the documentation.
#[must_use]
pub fn builtins() -> &'static [Builtin] {
    ALL
}

impl Builtin {
    /// Its file.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// The scenario.
    ///
    /// # Errors
    /// Never for those of the program: a test reads all of them.
    pub fn scenario(&self) -> Result<Scenario, ScenarioError> {
        Scenario::from_toml(self.text)
    }
}

/// The scenario of this name.
///
/// # Errors
/// [`ScenarioError::Unknown`] with all names there are.
pub fn named(name: &str) -> Result<Builtin, ScenarioError> {
    let found = ALL.iter().find(|builtin| builtin.name == name).copied();
    found.ok_or_else(|| ScenarioError::Unknown {
        name: name.to_owned(),
        known: ALL
            .iter()
            .map(|builtin| builtin.name)
            .collect::<Vec<_>>()
            .join(", "),
    })
}
