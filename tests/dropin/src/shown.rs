//! Prints results as lines that two hosts can be compared by. It must not know where they come from.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use anyhow::Result;
use risc0_zkvm::sha::{Digestible, Impl, Sha256};
use risc0_zkvm::{ReceiptClaim, SessionInfo};

/// Shows bytes: short ones as they are, long ones by length and digest.
pub fn bytes(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=64 => hex::encode(bytes),
        length => format!("{length} bytes, SHA-256 {}", hex::encode(Impl::hash_bytes(bytes).as_bytes())),
    }
}

/// Shows a session, or the outermost text of its error.
pub fn session(session: &Result<SessionInfo>) -> String {
    let session = match session {
        Ok(session) => session,
        Err(error) => return format!("error: {error}"),
    };
    let mut lines = vec![format!("exit: {:?}", session.exit_code)];
    let segments = session.segments.iter().map(|segment| format!("2^{} with {}", segment.po2, segment.cycles));
    let segments = segments.collect::<Vec<_>>().join(", ");
    let all = if segments.len() > 200 { bytes(segments.as_bytes()) } else { segments };
    lines.push(format!("{} segments: {all}", session.segments.len()));
    lines.push(format!("journal: {}", bytes(&session.journal.bytes)));
    lines.push(session.receipt_claim.as_ref().map_or_else(|| "no claim".to_owned(), claim));
    lines.join("\n")
}

/// Shows a claim, with every part that is not pruned.
pub fn claim(claim: &ReceiptClaim) -> String {
    let mut line = format!("claim: {} pre {} post {}", claim.digest(), claim.pre.digest(), claim.post.digest());
    line += &format!(" exit {:?} output {}", claim.exit_code, claim.output.digest());
    if let Ok(Some(output)) = claim.output.as_value()
        && let Ok(assumptions) = output.assumptions.as_value()
    {
        for assumption in &assumptions.0 {
            line += &match assumption.as_value() {
                Ok(assumption) => format!("\nassumes: {} under {}", assumption.claim, assumption.control_root),
                Err(_) => "\nassumes something pruned".to_owned(),
            };
        }
    }
    line
}

/// A writer whose bytes are kept.
#[derive(Clone, Default)]
pub struct Kept(pub Rc<RefCell<Vec<u8>>>);

impl Kept {
    pub fn show(&self, name: &str) {
        println!("{name}: {}", bytes(&self.0.borrow()));
    }
}

impl Write for Kept {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
