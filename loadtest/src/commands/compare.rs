//! `loadtest compare` and `loadtest report`: reports read again.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use loadtest::report::compare::compare;
use loadtest::report::data::Report;
use loadtest::report::{html, markdown};

use super::CommandError;

#[derive(Args)]
pub(crate) struct CompareArguments {
    /// The first report.json.
    a: PathBuf,
    /// The second.
    b: PathBuf,
    /// Also reports of different scenarios or seeds.
    #[arg(long)]
    anyway: bool,
}

#[derive(Args)]
pub(crate) struct ReportArguments {
    /// A report.json.
    report: PathBuf,
    /// Writes the page here.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Writes the Markdown table here; without --html and --markdown it is printed.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

pub(crate) fn run_compare(arguments: &CompareArguments) -> Result<(), CommandError> {
    let (a, b) = (read(&arguments.a)?, read(&arguments.b)?);
    let rows = compare(&a, &b, arguments.anyway).map_err(|error| CommandError::Refused(Box::new(error)))?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<56}{:>12}{:>12}{:>8}",
        "smaller is better", "a", "b", "b / a"
    )?;
    for row in rows {
        let ratio = row
            .ratio()
            .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        writeln!(out, "{:<56}{:>12.2}{:>12.2}{ratio:>8}", row.name, row.a, row.b)?;
    }
    Ok(())
}

pub(crate) fn run_report(arguments: &ReportArguments) -> Result<(), CommandError> {
    let report = read(&arguments.report)?;
    if let Some(path) = &arguments.html {
        write(path, &html::page(&report))?;
    }
    match &arguments.markdown {
        Some(path) => write(path, &markdown::table(&report))?,
        None if arguments.html.is_none() => write!(io::stdout(), "{}", markdown::table(&report))?,
        None => {}
    }
    Ok(())
}

/// Writes a text, with the path in the error.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    fs::write(path, text).map_err(|source| CommandError::File {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path) -> Result<Report, CommandError> {
    let text = fs::read_to_string(path).map_err(|source| CommandError::File {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text)
        .map_err(|error| CommandError::Refused(format!("{}: not a report: {error}", path.display()).into()))
}
