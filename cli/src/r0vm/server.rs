//! `--port`: serves one host. It must not know the protocol.

use std::time::Duration;

use tachy::jit::DiskCache;
use tachy_r0vm::{SEGMENTS_VARIABLE, SegmentsFor, Settings, serve_port};

use crate::cache;
use crate::streams::say;

/// How long the process may take to end after its host has gone.
const EXIT_AFTER: Duration = Duration::from_millis(500);

pub(super) fn serve(port: u16) -> Result<u8, String> {
    let disk_cache = cache::folder().map(DiskCache::new);
    let variable = |name: &str| std::env::var(name).ok();
    let settings = Settings {
        segments: SegmentsFor::parse(&variable(SEGMENTS_VARIABLE).unwrap_or_default())?,
        disk_cache: disk_cache.clone(),
        variable: Box::new(variable),
        say: Box::new(|line| say(&format!("{line}\n"))),
        exit_after: Some(EXIT_AFTER),
    };
    let served = serve_port(port, &settings);
    cache::tell(disk_cache.as_ref(), false);
    served.map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}
