//! Sections that say the same: those a client only receives on differ in their mid alone, and a large room has a hundred
//! of them, offered anew with every change. Each is read once.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// An offer with every section that says something new, and which of these each section of the whole offer is.
#[derive(Debug)]
pub(super) struct Distinct<'t> {
    /// The head and the first of each kind of section, as they stood.
    pub(super) text: Cow<'t, str>,
    /// How many these are.
    pub(super) count: usize,
    /// Of each section of the whole: its place among those of `text`, and its mid, where it has one.
    pub(super) places: Vec<(usize, Option<&'t str>)>,
}

impl<'t> Distinct<'t> {
    /// Compares all sections but for the value of their first `a=mid`. Cost: a comparison of each with a few others.
    pub(super) fn of(text: &'t str) -> Self {
        let starts = section_starts(text);
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        let mut known: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut firsts: Vec<&str> = Vec::new();
        let mut places = Vec::with_capacity(starts.len());
        for (start, end) in starts.iter().copied().zip(ends) {
            let section = &text[start..end];
            let (before, mid, behind) = around_mid(section);
            let next = firsts.len();
            let place = *known.entry((before, behind)).or_insert(next);
            if place == next {
                firsts.push(section);
            }
            places.push((place, mid));
        }
        let count = firsts.len();
        let text = if count == places.len() {
            Cow::Borrowed(text)
        } else {
            let head = &text[..starts.first().copied().unwrap_or(text.len())];
            Cow::Owned(std::iter::once(head).chain(firsts).collect())
        };
        Self { text, count, places }
    }
}

/// Where the lines `m=` begin.
fn section_starts(text: &str) -> Vec<usize> {
    let lines = text.match_indices("\nm=").map(|(at, _)| at + 1);
    let first = text.starts_with("m=").then_some(0);
    first.into_iter().chain(lines).collect()
}

/// What stands before the value of the first `a=mid`, the value, and what stands behind it.
fn around_mid(section: &str) -> (&str, Option<&str>, &str) {
    const LINE: &str = "\na=mid:";
    let Some(at) = section.find(LINE) else {
        return (section, None, "");
    };
    let (before, rest) = section.split_at(at + LINE.len());
    let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
    let (mid, behind) = rest.split_at(end);
    (before, Some(mid), behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_differ_in_their_mid_alone_are_kept_once() {
        let section = |mid: &str, line: &str| format!("m=audio 9 x 1\r\na=mid:{mid}\r\n{line}\r\n");
        let (first, other) = (section("0", "a=recvonly"), section("1", "a=sendonly"));
        let again = section("12", "a=recvonly");
        let text = format!("v=0\r\n{first}{other}{again}");
        let distinct = Distinct::of(&text);
        assert_eq!(distinct.text, format!("v=0\r\n{first}{other}"));
        assert_eq!(distinct.places, [(0, Some("0")), (1, Some("1")), (0, Some("12"))]);
    }

    #[test]
    fn what_repeats_nothing_stays_as_it_is() {
        for text in [
            "",
            "v=0\r\n",
            "m=audio",
            "v=0\nm=a\nm=b\na=mid:",
            "m=a\r\na=mid:\r\n",
        ] {
            let distinct = Distinct::of(text);
            assert!(matches!(distinct.text, Cow::Borrowed(same) if same == text));
        }
        assert_eq!(Distinct::of("m=a\nm=a\n").places, [(0, None), (0, None)]);
    }
}
