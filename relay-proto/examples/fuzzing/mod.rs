//! What the fuzz runners of the crates share: arguments, seeded numbers, damage, rounds, and a watch on memory.
//!
//! A runner goes through its surfaces in turn. Every *round* begins with a fresh machine and throws a fixed number of
//! inputs at it; its inputs depend on the seed and the number of the round only, so that `--seed S --round R` throws
//! exactly those again. Where a library draws randomness of its own (DTLS, SCTP), bytes under its keys differ and the rest does
//! not. A panic names seed, round and surface, and shows the input; so does, without it,
//! a round that hangs.

use peak_alloc::PeakAlloc;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes that may stay behind after a round: what libraries allocate once and keep.
const LEFT_BEHIND_BYTES: usize = 4 * 1024 * 1024;

/// A round takes a tenth of a second; one that takes this long hangs.
const ROUND_TIME: Duration = Duration::from_secs(60);

/// Where the current input is kept for the report of a panic.
static LAST_INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 where that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`, which are not empty.
    pub(crate) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// A byte; half of all are those with a meaning in variable-length integers, flags and variants.
    pub(crate) fn byte(&mut self) -> u8 {
        const TELLING: [u8; 16] = [0, 1, 2, 3, 4, 5, 7, 9, 0x10, 0x7f, 0x80, 250, 251, 252, 253, 255];
        match self.next() {
            number if number & 1 == 0 => TELLING[self.below(TELLING.len())],
            number => (number >> 8) as u8,
        }
    }

    /// Fewer than `bound` bytes.
    pub(crate) fn noise(&mut self, bound: usize) -> Vec<u8> {
        (0..self.below(bound)).map(|_| self.byte()).collect()
    }

    /// Damages `bytes` in up to four places: other values, cut, repeated, inserted.
    pub(crate) fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(8) {
                _ if bytes.is_empty() => bytes.push(self.byte()),
                0 => bytes.truncate(at),
                1 => {
                    let end = at + self.below(bytes.len() - at);
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                2 => {
                    let noise = self.noise(12);
                    bytes.splice(at..at, noise);
                }
                3 => {
                    let end = at + self.below((bytes.len() - at).min(8));
                    bytes.drain(at..end);
                }
                4 => bytes[at] ^= 1 << self.below(8),
                _ => bytes[at] = self.byte(),
            }
        }
    }
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Inputs thrown.
    pub(crate) inputs: u64,
    /// Inputs that were taken for what they seem to be.
    pub(crate) accepted: u64,
}

/// Something that takes input from outside.
pub(crate) struct Surface {
    /// Its name.
    pub(crate) name: &'static str,
    /// One round against a machine that begins and ends with it.
    pub(crate) round: fn(&mut Random) -> Tally,
    /// Most memory a round may take, in bytes.
    pub(crate) most_bytes: usize,
}

/// How long, from which seed, and whether only one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments {
    /// Time to go on for.
    pub(crate) seconds: u64,
    /// Everything follows from it.
    pub(crate) seed: u64,
    /// Only this round.
    pub(crate) round: Option<u64>,
}

impl Arguments {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Self, String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seed = now.map_or(0, |elapsed| elapsed.as_nanos() as u64);
        let mut arguments = Self {
            seconds: 20,
            seed,
            round: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(flag) = words.next() {
            let value = words.next().and_then(|word| word.parse().ok());
            match (flag.as_str(), value) {
                ("--seconds", Some(seconds)) => arguments.seconds = seconds,
                ("--seed", Some(seed)) => arguments.seed = seed,
                ("--round", Some(round)) => arguments.round = Some(round),
                _ => return Err(format!("{flag}: expected --seconds N, --seed N or --round N")),
            }
        }
        Ok(arguments)
    }
}

/// Remembers the input that is about to be thrown.
pub(crate) fn throwing(input: &[u8]) {
    let mut last = LAST_INPUT.lock().unwrap_or_else(PoisonError::into_inner);
    if input.is_empty() {
        // Its room would count as left behind.
        *last = Vec::new();
    }
    last.clear();
    last.extend_from_slice(input);
}

/// Bytes allocated now.
pub(crate) fn held_bytes() -> usize {
    ALLOCATOR.current_usage()
}

/// Highest number of bytes allocated since the last call of [`reset_peak`].
pub(crate) fn peak_bytes() -> usize {
    ALLOCATOR.peak_usage()
}

/// Forgets the peak.
pub(crate) fn reset_peak() {
    ALLOCATOR.reset_peak_usage();
}

/// Goes through `surfaces` until the time is over; fails on memory above a bound. A panic ends the process.
pub(crate) fn run(runner: &str, surfaces: &[Surface]) -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => {
            println!("{runner}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{runner}: {} s, seed {}", arguments.seconds, arguments.seed);
    let mut tallies = vec![(Tally::default(), 0_usize); surfaces.len()];
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut held = vec![None; surfaces.len()];
    let mut round = arguments.round.unwrap_or(0);
    while arguments.round.is_some() || Instant::now() < end {
        let at = (round % surfaces.len() as u64) as usize;
        let surface = &surfaces[at];
        report_panics(runner, surface.name, arguments.seed, round);
        let watch = watch(format!(
            "{runner}: {}: round {round} of seed {} hangs",
            surface.name, arguments.seed
        ));
        let mut random = Random(arguments.seed ^ round.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let before = held_bytes();
        reset_peak();
        let tally = (surface.round)(&mut random);
        drop(watch);
        let peak = peak_bytes().saturating_sub(before);
        throwing(&[]);
        let (sum, highest) = &mut tallies[at];
        sum.inputs += tally.inputs;
        sum.accepted += tally.accepted;
        *highest = peak.max(*highest);
        // What the first round of a surface leaves is what its libraries keep for good.
        let first = *held[at].get_or_insert_with(held_bytes);
        let left = held_bytes().saturating_sub(first);
        if peak > surface.most_bytes || left > LEFT_BEHIND_BYTES {
            println!(
                "{runner}: {}: round {round} of seed {} took {peak} bytes (bound {}), {left} are left (bound {LEFT_BEHIND_BYTES})",
                surface.name, arguments.seed, surface.most_bytes
            );
            return ExitCode::FAILURE;
        }
        if arguments.round.is_some() {
            break;
        }
        round += 1;
    }
    for (surface, (tally, peak)) in surfaces.iter().zip(&tallies) {
        println!(
            "{runner}: {}: {} inputs, {} accepted, most memory {} of {} KiB",
            surface.name,
            tally.inputs,
            tally.accepted,
            peak / 1024,
            surface.most_bytes / 1024
        );
    }
    println!("{runner}: no panic in {round} rounds");
    ExitCode::SUCCESS
}

/// Ends the process with these words unless what it returns is dropped in time.
fn watch(words: String) -> Sender<()> {
    let (alive, ended) = channel();
    std::thread::spawn(move || {
        if ended.recv_timeout(ROUND_TIME) == Err(RecvTimeoutError::Timeout) {
            println!("{words}");
            std::process::exit(1);
        }
    });
    alive
}

fn report_panics(runner: &str, surface: &'static str, seed: u64, round: u64) {
    let runner = runner.to_owned();
    // The default hook is put back first, so that hooks do not pile up.
    drop(std::panic::take_hook());
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        default(info);
        let last = LAST_INPUT.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hex = String::new();
        for byte in last.iter() {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        println!("{runner}: {surface}: again with --seed {seed} --round {round}; the input was {hex}");
    }));
}
