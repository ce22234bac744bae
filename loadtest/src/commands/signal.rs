//! `loadtest signal`: writes the test picture and the test tone of one sender.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use loadtest::signal::picture::{FRAMES_PER_SECOND, PictureSize};
use loadtest::signal::sound::SAMPLES_PER_SECOND;
use loadtest::signal::{SenderId, write_wav, write_y4m};

use super::CommandError;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Number of the sender, 0 to 15.
    #[arg(long, value_parser = parse_sender)]
    id: SenderId,
    /// Shortest length in seconds; files are made longer until they loop without a seam.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Width and height of the picture: multiples of 8 and 4.
    #[arg(long, default_value = "320x180")]
    size: PictureSize,
    /// File for the picture, YUV4MPEG2; browsers want the ending .y4m.
    #[arg(long, required_unless_present = "sound")]
    picture: Option<PathBuf>,
    /// File for the tone, WAV.
    #[arg(long)]
    sound: Option<PathBuf>,
}

fn parse_sender(text: &str) -> Result<SenderId, String> {
    let number = text
        .parse()
        .map_err(|_| "a sender is a number from 0 to 15".to_owned())?;
    SenderId::new(number).map_err(|error| error.to_string())
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    if let Some(path) = &arguments.picture {
        let frames = written(path, |file| {
            write_y4m(file, arguments.id, arguments.size, arguments.seconds)
        })?;
        let seconds = f64::from(frames) / f64::from(FRAMES_PER_SECOND);
        writeln!(stdout, "{}: {frames} frames, {seconds:.2} s", path.display())?;
    }
    if let Some(path) = &arguments.sound {
        let samples = written(path, |file| write_wav(file, arguments.id, arguments.seconds))?;
        let seconds = f64::from(samples) / f64::from(SAMPLES_PER_SECOND);
        writeln!(stdout, "{}: {samples} samples, {seconds:.2} s", path.display())?;
    }
    Ok(())
}

fn written<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
) -> Result<T, CommandError> {
    let attempt = || {
        let mut file = BufWriter::new(File::create(path)?);
        let result = write(&mut file)?;
        file.flush()?;
        Ok(result)
    };
    attempt().map_err(|source| CommandError::File {
        path: path.to_owned(),
        source,
    })
}
