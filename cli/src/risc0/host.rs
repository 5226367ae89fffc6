//! The environment of a guest on machine `r0vm`: its host, and the folder for its segments.
//!
//! It must not know the results of a session.

use std::ffi::OsString;

use tachy::Env;
use tachy::risc0::host::HostEnv;

use super::args::R0vmArgs;
use super::seed::Seed;
use crate::failure::Failure;
use crate::streams::Streams;

/// The environment that the options describe.
pub(in super::super) fn surroundings(
    options: &R0vmArgs,
    args: &[OsString],
    streams: Streams,
    seed: Seed,
) -> Result<Env<'static>, Failure> {
    let mut host = HostEnv::builder();
    let Streams { stdin, stdout, stderr, kernel, read_fd, write_fd, segments, progress } = streams;
    host.kernel_output(kernel);
    // An option may set one of the standard descriptors.
    if !options.reads(0) {
        host.stdin(stdin);
    }
    if !options.writes(1) {
        host.stdout(stdout);
    }
    if !options.writes(2) {
        host.stderr(stderr);
    }
    for arg in args {
        let text = arg.to_str().ok_or_else(|| Failure::usage("arguments of guests on machine r0vm must be UTF-8"))?;
        host.args([text]);
    }
    for (name, value) in &options.env {
        host.env_var(name, value);
    }
    for (descriptor, stream) in read_fd {
        host.read_fd(descriptor, stream);
    }
    for (descriptor, stream) in write_fd {
        host.write_fd(descriptor, stream);
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
    let Some(mut folder) = segments else { return Ok(env) };
    folder.open()?;
    let env = env.segments(move |segment| {
        progress.segment();
        folder.write(segment)
    });
    Ok(match options.hashing_threads {
        Some(threads) => env.hashing_threads(threads),
        None => env,
    })
}
