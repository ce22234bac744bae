//! Builds the web client and turns it into a table of embedded files.
//!
//! Where `CAUSEWAY_WEB_DIST` names a folder, that is taken as it is. Else `npm ci` (when packages are missing or old)
//! and `npm run build` run in `web/`, with their output in cargo's own folder: a clean clone needs nothing else, and
//! nothing is written into the sources but `web/node_modules`.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the web client is made of, below `web/`.
const SOURCES: [&str; 6] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
];
const DIST_VARIABLE: &str = "CAUSEWAY_WEB_DIST";
/// Files smaller than this are sent as they are.
const COMPRESSED_FROM_BYTES: usize = 1_024;

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=the web client cannot be embedded: {error}");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={DIST_VARIABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let dist = match std::env::var(DIST_VARIABLE) {
        // Only a given folder is watched: one that this script writes would always be newer than its own run.
        Ok(folder) => {
            println!("cargo::rerun-if-changed={folder}");
            PathBuf::from(folder)
        }
        Err(_) => build_client(&out)?,
    };
    if !dist.join("index.html").is_file() {
        return Err(format!("{} has no index.html", dist.display()).into());
    }
    let mut files = Vec::new();
    list(&dist, &mut files)?;
    files.sort();
    write_table(&dist, &files, &out)
}

fn build_client(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let web = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../web");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", web.join(source).display());
    }
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let lock = web.join("package-lock.json");
    let installed = modified(&web.join("node_modules/.package-lock.json"));
    if installed.is_none() || installed < modified(&lock) {
        npm(&web, &["ci", "--no-audit", "--no-fund"])?;
    }
    let dist = out.join("web");
    let target = dist.to_str().ok_or("the build folder's name is not UTF-8")?;
    npm(&web, &["run", "build", "--", "--outDir", target, "--emptyOutDir"])?;
    Ok(dist)
}

fn npm(web: &Path, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let command = format!("npm {}", arguments.join(" "));
    let output = Command::new("npm").args(arguments).current_dir(web).output().map_err(|error| {
        format!(
            "`{command}` cannot run ({error}). Install Node.js 20 or newer with npm, or set {DIST_VARIABLE} to a \
             folder with the built client"
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Err(format!("`{command}` in {} failed:\n{text}", web.display())
        .replace('\n', " | ")
        .into())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn write_table(dist: &Path, files: &[PathBuf], out: &Path) -> Result<(), Box<dyn Error>> {
    let mut table = String::from("static ASSETS: &[Asset] = &[\n");
    for (number, file) in files.iter().enumerate() {
        let path = file
            .strip_prefix(dist)?
            .to_str()
            .ok_or("a file name of the client is not UTF-8")?;
        let bytes = fs::read(file)?;
        let packed = compress(&bytes)?;
        let gzip = if bytes.len() >= COMPRESSED_FROM_BYTES && packed.len() < bytes.len() * 9 / 10 {
            let name = out.join(format!("asset-{number}.gz"));
            fs::write(&name, packed)?;
            format!("Some(include_bytes!({name:?}))")
        } else {
            "None".to_owned()
        };
        let file = fs::canonicalize(file)?;
        writeln!(
            table,
            "    Asset {{ path: {path:?}, bytes: include_bytes!({file:?}), gzip: {gzip} }},"
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
