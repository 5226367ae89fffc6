//! The surroundings of a guest on machine `r0vm`: its host, and the folder that takes its segments. It must not know what
//! a session came to.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tachy::Env;
use tachy::host::HostEnv;
use tachy::r0vm::Segment;
use tachy::trace::SinkError;

use super::super::failure::Failure;
use super::super::streams::{Streams, create_output, open_input};
use super::args::R0vmArgs;
use super::seed::Seed;

/// What segments' files are called, before their number.
const SEGMENT_NAME: &str = "segment-";

/// The host that the options ask for.
pub(in super::super) fn surroundings(
    options: &R0vmArgs,
    args: &[OsString],
    streams: Streams,
    seed: Seed,
) -> Result<Env<'static>, Failure> {
    let mut host = HostEnv::builder();
    let Streams { stdin, stdout, stderr, kernel, is_quiet, progress } = streams;
    // Before further descriptors, which may take their place.
    host.stdin(stdin).stdout(stdout).stderr(stderr).kernel_output(kernel);
    for arg in args {
        let text = arg.to_str().ok_or_else(|| Failure::usage("arguments of R0VM's guests are UTF-8"))?;
        host.args([text]);
    }
    for (name, value) in &options.env {
        host.env_var(name, value);
    }
    for (descriptor, path) in &options.read_fd {
        host.read_fd(*descriptor, open_input(path)?);
    }
    for (descriptor, path) in &options.write_fd {
        match is_quiet {
            true => host.write_fd(*descriptor, io::sink()),
            false => host.write_fd(*descriptor, create_output(path)?),
        };
    }
    for assumption in &options.assumption {
        host.add_assumption(*assumption);
    }
    if let Some(digest) = options.input_digest {
        host.input_digest(digest.to_bytes());
    }
    if let Some(po2) = options.po2 {
        host.segment_limit_po2(po2);
    }
    host.session_limit(options.limit_cycles).random_seed(seed.to_bytes());
    let env = Env::new().host(host.build().map_err(|error| Failure::usage(&error.to_string()))?);
    Ok(match &options.segments {
        _ if options.execute_only => env,
        None => env.segments(move |_| {
            progress.segment();
            Ok(())
        }),
        Some(folder) => {
            prepare(folder).map_err(|error| Failure::output(&folder.display().to_string(), &error))?;
            let (folder, mut numbers) = (folder.clone(), 0..);
            env.segments(move |segment| {
                progress.segment();
                write(&folder, numbers.next().unwrap_or(u64::MAX), &segment)
            })
        }
    })
}

/// Makes the folder. Segments of another run would pass for this one's, so there must be none.
fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        if entry?.file_name().as_encoded_bytes().starts_with(SEGMENT_NAME.as_bytes()) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it has segments of another run"));
        }
    }
    Ok(())
}

/// A segment counts from 0 in each part of a session that paused, its file goes on counting.
fn write(folder: &Path, number: u64, segment: &Segment) -> Result<(), SinkError> {
    let path: PathBuf = folder.join(format!("{SEGMENT_NAME}{number:04}.bin"));
    fs::write(&path, segment.encode()).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
