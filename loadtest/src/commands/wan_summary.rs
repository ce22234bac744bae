//! What `loadtest wan` prints at its end.

use std::io::{self, Write};

use loadtest::wan::WanStats;

/// One line per link, and what concerns all of them.
pub(crate) fn summarise(stats: &WanStats, output: &mut impl Write) -> io::Result<()> {
    for link in &stats.links {
        write!(
            output,
            "{} > {}: {} offered, {} delivered ({} bytes), {} lost, {} queue full, {} cut off, {} refused, \
             {} unsent",
            link.from,
            link.to,
            link.offered.datagrams,
            link.delivered.datagrams,
            link.delivered.bytes,
            link.lost,
            link.queue_full,
            link.cut_off,
            link.refused,
            link.unsent,
        )?;
        if link.held_back + link.duplicated > 0 {
            write!(
                output,
                ", {} held back, {} duplicated",
                link.held_back, link.duplicated
            )?;
        }
        writeln!(output)?;
    }
    if stats.strays > 0 {
        writeln!(output, "{} packets for no region", stats.strays)?;
    }
    if stats.captured + stats.capture_skipped > 0 {
        writeln!(
            output,
            "captured {}, beyond the limit {}",
            stats.captured, stats.capture_skipped
        )?;
    }
    Ok(())
}
