//! A calendar day, for "how old is this data".

use std::fmt;

/// Seconds in a day without leap seconds, as Unix time counts.
const DAY_S: u64 = 86_400;
/// Later than any database: keeps the arithmetic far from overflow (year 9999).
const LAST_EPOCH_S: u64 = 253_402_300_799;

/// A day of the Gregorian calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// Year, 1970 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
}

impl Date {
    /// The day of a Unix time in seconds; times after the year 9999 give its last day.
    #[must_use]
    pub fn of_epoch_s(epoch_s: u64) -> Self {
        let mut days = epoch_s.min(LAST_EPOCH_S) / DAY_S;
        let mut year: u16 = 1970;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let mut month: u8 = 1;
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        let day = u8::try_from(days + 1).expect("invariant: fewer days are left than the month has");
        Self { year, month, day }
    }
}

const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_year(year: u16) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn days_of_month(year: u16, month: u8) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_seconds_give_the_right_day() {
        for (epoch_s, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_780_345_978, "2026-06-01"),
            (4_107_542_400, "2100-03-01"),
            (u64::MAX, "9999-12-31"),
        ] {
            assert_eq!(Date::of_epoch_s(epoch_s).to_string(), text);
        }
    }
}
