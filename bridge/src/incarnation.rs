//! When this process began, as the mesh counts it.
//!
//! Rows and epochs of a restarted node must be newer than those of its former self. Wall time does that, unless the
//! clock was set back in between; with a data folder the last start is remembered and never undercut.

use relay_proto::unit::UnixMillis;
use std::io;
use std::path::Path;

const FILE: &str = "incarnation";
/// Epochs count in seconds: a second start within one takes the next.
const STEP_MS: u64 = 1_000;

/// The start time of this process: `now`, or a second after the last start that `folder` remembers if that is later.
///
/// # Errors
/// Where the folder or its file cannot be written.
pub fn begin(folder: &Path, now: UnixMillis) -> io::Result<UnixMillis> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(FILE);
    // What cannot be read is taken as a first start: the file holds nothing that must not be lost.
    let last: Option<u64> = std::fs::read_to_string(&path)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let start = last.map_or(now.0, |last| now.0.max(last + STEP_MS));
    let draft = folder.join("incarnation.new");
    std::fs::write(&draft, format!("{start}\n"))?;
    std::fs::rename(draft, path)?;
    Ok(UnixMillis(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_newer_even_when_the_clock_was_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = |ms| begin(folder.path(), UnixMillis(ms)).unwrap().0;
        assert_eq!(at(5_000_000), 5_000_000);
        assert_eq!(at(4_000_000), 5_001_000);
        assert_eq!(at(6_000_000), 6_000_000);
        std::fs::write(folder.path().join(FILE), "garbage").unwrap();
        assert_eq!(at(7_000_000), 7_000_000);
    }
}
