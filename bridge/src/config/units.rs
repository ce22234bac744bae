//! Durations, sizes and rates as people write them: a number and a unit, nothing implied.

use std::time::Duration;

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number with one of the units {units}, for example {example}")]
pub struct UnitError {
    units: &'static str,
    example: &'static str,
}

const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
const RATES: [(&str, u64); 3] = [
    ("kbit/s", 1_000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
];

/// Reads `250ms`, `2m`, `6h`.
///
/// # Errors
/// [`UnitError`] names the units.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let error = UnitError {
        units: "ms, s, m, h, d",
        example: "\"250ms\"",
    };
    quantity(text, &DURATIONS).map(Duration::from_millis).ok_or(error)
}

/// Reads `512KiB`, `2MiB`, in bytes.
///
/// # Errors
/// [`UnitError`] names the units.
pub fn size(text: &str) -> Result<u64, UnitError> {
    quantity(text, &SIZES).ok_or(UnitError {
        units: "B, KiB, MiB, GiB",
        example: "\"2MiB\"",
    })
}

/// Reads `100Mbit/s`, in bits per second.
///
/// # Errors
/// [`UnitError`] names the units.
pub fn rate(text: &str) -> Result<u64, UnitError> {
    let error = UnitError {
        units: "kbit/s, Mbit/s, Gbit/s",
        example: "\"100Mbit/s\"",
    };
    quantity(text, &RATES).ok_or(error)
}

/// `90000` ms as `90s`: the largest unit without a fraction.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(ms, DURATIONS.iter().rev())
}

/// `2097152` as `2MiB`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show(bytes, [SIZES[2], SIZES[1], SIZES[0], SIZES[3]].iter())
}

/// `100000000` as `100Mbit/s`.
#[must_use]
pub fn show_rate(bps: u64) -> String {
    show(bps, RATES.iter().rev())
}

fn show<'a>(value: u64, units: impl Iterator<Item = &'a (&'static str, u64)>) -> String {
    let mut last = String::new();
    for (unit, factor) in units {
        if value > 0 && value.is_multiple_of(*factor) {
            return format!("{}{unit}", value / factor);
        }
        last = format!("{}{unit}", value / factor);
    }
    last
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_written_with_their_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration(" 2 m "), Ok(Duration::from_secs(120)));
        assert_eq!(size("2MiB"), Ok(2 << 20));
        assert_eq!(rate("100Mbit/s"), Ok(100_000_000));
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_duration(Duration::from_secs(7_200)), "2h");
        assert_eq!(show_size(512 << 10), "512KiB");
        assert_eq!(show_size(1_000), "1000B");
        assert_eq!(show_rate(1_000_000_000), "1Gbit/s");
    }

    #[test]
    fn a_number_without_unit_or_out_of_range_is_refused() {
        for text in [
            "",
            "250",
            "ms",
            "-1s",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615h",
            "5 parsecs",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(size("1KB").is_err());
        assert!(rate("10").is_err());
    }
}
