//! The program `causeway`.

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Gives back what people leave behind who go. The allocator of glibc keeps the pieces: measured over an hour of churn, its
/// resident memory grew by 77 KiB a minute while what was in use stayed the same; and a viewer took 59 KiB of it, here 50.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    bridge::cli::main()
}
