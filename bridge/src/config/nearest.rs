//! The name somebody probably meant.

/// The candidate with the fewest edits to `wrong`; none where all are too far to be meant.
pub(super) fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.len() / 3).max(2);
    candidates
        .map(|candidate| (edits(wrong, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= limit)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and substitutions between two names (Levenshtein 1966).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let substitution = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let names = ["mesh.listen", "mesh.peers", "http.listen"];
        assert_eq!(nearest("mesh.lisen", names.into_iter()), Some("mesh.listen"));
        assert_eq!(nearest("mesh.peer", names.into_iter()), Some("mesh.peers"));
        assert_eq!(nearest("completely.different", names.into_iter()), None);
    }
}
