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

use super::super::args::ConditionArgs;
use super::super::failure::Failure;
use super::super::guest::Streams;
use super::R0vmArgs;

/// What segments' files are called, before their number.
const SEGMENT_NAME: &str = "segment-";

/// The host that the options ask for.
pub(in super::super) fn surroundings(
    options: &R0vmArgs,
    conditions: &ConditionArgs,
    args: &[OsString],
    streams: Streams,
) -> Result<Env<'static>, Failure> {
    let mut host = HostEnv::builder();
    for arg in args {
        let text = arg.to_str().ok_or_else(|| Failure::usage("arguments of R0VM's guests are UTF-8"))?;
        host.args([text]);
    }
    for (name, value) in &options.env {
        host.env_var(name, value);
    }
    if let Some(po2) = options.po2 {
        host.segment_limit_po2(po2);
    }
    host.session_limit(options.limit_cycles).limit_output_bytes(conditions.limits().output_bytes);
    let Streams { stdin, stdout, stderr, kernel } = streams;
    host.stdin(stdin).stdout(stdout).stderr(stderr).kernel_output(kernel);
    let env = Env::new().host(host.build().map_err(|error| Failure::usage(&error.to_string()))?);
    Ok(match &options.segments {
        _ if options.execute_only => env,
        None => env.segments(|_| Ok(())),
        Some(folder) => {
            prepare(folder).map_err(|error| Failure::output(&folder.display().to_string(), &error))?;
            let folder = folder.clone();
            env.segments(move |segment| write(&folder, &segment))
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

fn write(folder: &Path, segment: &Segment) -> Result<(), SinkError> {
    let path: PathBuf = folder.join(format!("{SEGMENT_NAME}{:04}.bin", segment.index()));
    fs::write(&path, segment.encode()).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
