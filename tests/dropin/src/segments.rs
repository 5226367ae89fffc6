//! Whole segments, whose API differs: a host with an external server asks for them by `ApiClient`, one with the executor
//! in its process by `ExecutorImpl`. Both are shown by the digest of RISC Zero's own encoding.

use risc0_zkvm::ExecutorEnv;

use crate::guests::binary;
use crate::shown;

/// Executes a guest and shows each of its segments.
#[cfg(feature = "reference")]
pub fn show(env: ExecutorEnv<'_>, guest: &str) {
    use risc0_zkvm::{ExecutorImpl, NullSegmentRef};
    let mut executor = ExecutorImpl::from_elf(env, &binary(guest)).expect("the guest is a program");
    let session = executor.run_with_callback(|segment| {
        println!("segment {}: {}", segment.index, shown::bytes(&bincode::serialize(&segment)?));
        Ok(Box::new(NullSegmentRef))
    });
    show_end(session.map(|session| session.segments.len()));
}

/// Executes a guest and shows each of its segments, inside messages and from a folder.
#[cfg(not(feature = "reference"))]
pub fn show(env: ExecutorEnv<'_>, guest: &str) {
    use risc0_zkvm::{ApiClient, Asset, AssetRequest};
    let folder = std::env::var_os("SEGMENTS").map_or(AssetRequest::Inline, |folder| AssetRequest::Path(folder.into()));
    let client = ApiClient::from_env().expect("there is a server");
    let session = client.execute(&env, Asset::Inline(binary(guest).into()), folder, |_, asset| {
        // The segment's number comes first.
        let bytes = asset.as_bytes()?;
        let index: u32 = bincode::deserialize(&bytes)?;
        println!("segment {index}: {}", shown::bytes(&bytes));
        Ok(())
    });
    show_end(session.map(|session| session.segments.len()));
}

fn show_end(segments: anyhow::Result<usize>) {
    match segments {
        Ok(segments) => println!("{segments} segments"),
        Err(error) => println!("error: {error}"),
    }
}
