//! The texts of RISC Zero's executor for the host's errors, for callers that stand in for it. This file must not know
//! who reads them.

use super::HostError;

impl HostError {
    /// Returns the text by which risc0-zkvm 3.0.6 reports this error: the outermost one, as its users see it. Returns
    /// `None` if RISC Zero has no such error.
    pub fn risc0_text(&self) -> Option<String> {
        Some(match self {
            HostError::GuestPanic { message } => format!("Guest panicked: {message}"),
            HostError::UnknownSyscall { name } => format!("Unknown syscall: {name:?}"),
            HostError::Arguments { risc0, .. } => return risc0.clone(),
            HostError::Region { .. } => "Region end is past the end of memory".to_owned(),
            HostError::Descriptor { verb, descriptor } => {
                let what = if verb.starts_with("read") { "read" } else { "write" };
                format!("Bad {what} file descriptor {descriptor}")
            }
            HostError::Stream { source, .. } => source.to_string(),
            HostError::Callback { source, .. } => source.to_string(),
            HostError::NoAssumption { claim, control_root } => {
                let [claim, root] = [claim, control_root].map(|digest| crate::risc0::Digest::from_bytes(*digest));
                format!(
                    "sys_verify_integrity: no receipt found to resolve assumption: claim digest {claim}, control root \
                     {root}"
                )
            }
            HostError::JournalLimit { .. } => "journal write limit reached".to_owned(),
            _ => return None,
        })
    }
}
