//! What one session does with native code: when code is hot enough to compile, what that may cost, which code it runs,
//! and when native code is not worth entering.
//!
//! `session_code` holds one `mode_code` for each mode of the machine. The others are small pure policies that these two
//! ask. It must not know how regions are found and lowered, nor how code is published.

pub(crate) mod backoff;
pub(crate) mod candidates;
pub(crate) mod mode_code;
pub(crate) mod payback;
pub(crate) mod session_code;
pub(crate) mod short_runs;
pub(crate) mod transitions;
