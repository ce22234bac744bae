//! Quantities as people write them in configurations and on the control socket: `80ms`, `1.5%`, `50mbit`.

use std::time::Duration;

use thiserror::Error;

use super::model::{BitRate, Probability};

/// Longest duration a link can be given: it bounds how long datagrams stay in memory.
pub const LONGEST: Duration = Duration::from_secs(10);

/// Why a quantity was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    /// Not a duration.
    #[error("`{0}` is not a duration: write a number with us, ms or s, for example 80ms, at most 10s")]
    Duration(String),
    /// Not a percentage.
    #[error("`{0}` is not a percentage from 0% to 100%: write for example 1.5%")]
    Percentage(String),
    /// Not a rate.
    #[error(
        "`{0}` is not a rate: write a number with bit, kbit, mbit or gbit, for example 50mbit, or unlimited"
    )]
    Rate(String),
    /// Not a plain number.
    #[error("`{0}` is not a number")]
    Number(String),
    /// Not a size.
    #[error("`{0}` is not a size: write a whole number with B, KiB, MiB or GiB, for example 256MiB")]
    Size(String),
}

/// Reads `80ms`, `250us` or `1.5s`, at most [`LONGEST`].
///
/// # Errors
/// [`UnitError::Duration`] for anything else, also for a number without unit.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let refused = || UnitError::Duration(text.to_owned());
    let (number, unit) = split(text).ok_or_else(refused)?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        _ => return Err(refused()),
    };
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| refused())?;
    if duration > LONGEST {
        Err(refused())
    } else {
        Ok(duration)
    }
}

/// Reads `1%` or `0.25%`.
///
/// # Errors
/// [`UnitError::Percentage`] for anything else, also for a number without the sign.
pub fn parse_percentage(text: &str) -> Result<Probability, UnitError> {
    let refused = || UnitError::Percentage(text.to_owned());
    match split(text) {
        Some((number, "%")) => Probability::new(number / 100.0).map_err(|_| refused()),
        _ => Err(refused()),
    }
}

/// Reads `50mbit`, `800kbit`, `1gbit`, `9600bit`, or `unlimited` for no limit (`None`). Factors are decimal.
///
/// # Errors
/// [`UnitError::Rate`] for anything else, also for less than 1 bit or more than 1,000 Gbit per second.
pub fn parse_rate(text: &str) -> Result<Option<BitRate>, UnitError> {
    const HIGHEST_BPS: f64 = 1e12;
    let refused = || UnitError::Rate(text.to_owned());
    if text == "unlimited" {
        return Ok(None);
    }
    let (number, unit) = split(text).ok_or_else(refused)?;
    let bits_per_second = match unit {
        "bit" => number,
        "kbit" => number * 1e3,
        "mbit" => number * 1e6,
        "gbit" => number * 1e9,
        _ => return Err(refused()),
    };
    if !(1.0..=HIGHEST_BPS).contains(&bits_per_second) {
        return Err(refused());
    }
    BitRate::from_bps(bits_per_second as u64)
        .map(Some)
        .ok_or_else(refused)
}

/// Reads `256MiB`, `64KiB`, `1GiB` or `1000B` as bytes.
///
/// # Errors
/// [`UnitError::Size`] for anything else.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let refused = || UnitError::Size(text.to_owned());
    let unit_at = text
        .find(|letter: char| !letter.is_ascii_digit())
        .ok_or_else(refused)?;
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(refused()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(refused)
}

/// Reads a plain number such as `4` or `2.5`.
///
/// # Errors
/// [`UnitError::Number`] for anything else.
pub fn parse_number(text: &str) -> Result<f64, UnitError> {
    match split(text) {
        Some((number, "")) => Ok(number),
        _ => Err(UnitError::Number(text.to_owned())),
    }
}

/// Splits `1.5ms` into `1.5` and `ms`. Signs, exponents and spaces are not part of a quantity.
fn split(text: &str) -> Option<(f64, &str)> {
    let unit_at = text
        .find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_a_unit_and_are_exact() {
        assert_eq!(parse_duration("80ms"), Ok(Duration::from_millis(80)));
        assert_eq!(parse_duration("0.5ms"), Ok(Duration::from_micros(500)));
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(parse_duration("10s"), Ok(LONGEST));
        for bad in [
            "", "80", "ms", "-1ms", "11s", "1m", "80 ms", "1e3ms", "1.2.3ms", "∞s",
        ] {
            assert_eq!(parse_duration(bad), Err(UnitError::Duration(bad.to_owned())));
        }
    }

    #[test]
    fn percentages_carry_their_sign_and_stay_within_the_whole() {
        assert_eq!(parse_percentage("1.5%").unwrap().value(), 0.015);
        assert_eq!(parse_percentage("100%").unwrap(), Probability::ONE);
        for bad in ["", "1", "101%", "-1%", "1%%", "%"] {
            assert_eq!(parse_percentage(bad), Err(UnitError::Percentage(bad.to_owned())));
        }
    }

    #[test]
    fn rates_are_decimal_and_never_zero() {
        assert_eq!(parse_rate("50mbit"), Ok(BitRate::from_bps(50_000_000)));
        assert_eq!(parse_rate("1.5gbit"), Ok(BitRate::from_bps(1_500_000_000)));
        assert_eq!(parse_rate("unlimited"), Ok(None));
        for bad in ["", "0mbit", "50", "50MB", "1001gbit", "unlimitedbit"] {
            assert_eq!(parse_rate(bad), Err(UnitError::Rate(bad.to_owned())));
        }
    }

    #[test]
    fn sizes_are_binary_and_do_not_overflow() {
        assert_eq!(parse_size("256MiB"), Ok(256 << 20));
        assert_eq!(parse_size("0B"), Ok(0));
        for bad in [
            "",
            "12",
            "MiB",
            "1.5MiB",
            "99999999999999999999B",
            "18446744073709551615GiB",
        ] {
            assert_eq!(parse_size(bad), Err(UnitError::Size(bad.to_owned())));
        }
    }
}
