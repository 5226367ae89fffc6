//! Writes that resume after a failure, so that no byte is written twice or left out. This file must not know what the
//! bytes mean.

use std::io::{self, Write};

/// Writes the bytes behind the first `written`, and advances `written`. After an error, `written` counts the bytes that
/// the stream took.
pub(super) fn write_on(stream: &mut impl Write, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    loop {
        let left = bytes.get(*written..).unwrap_or_default();
        if left.is_empty() {
            return Ok(());
        }
        match stream.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) if more <= left.len() => *written += more,
            Ok(_) => return Err(io::Error::other("the stream claims more bytes than it was given")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
