//! Frames: a length of four bytes, little-endian, and as many bytes. This file must not know what is in a frame.

use std::io::{self, Read, Write};

/// Bytes that are read before more memory is taken, so that a length alone takes none.
const PIECE_BYTES: usize = 1 << 20;

/// Reads a frame into `body`, whose old content goes. Returns whether there was one: the peer may close the connection
/// between two frames.
///
/// # Errors
/// Fails if the connection fails or ends inside the frame, or if the frame is longer than `limit_bytes`.
pub(crate) fn read(stream: &mut impl Read, limit_bytes: u32, body: &mut Vec<u8>) -> io::Result<bool> {
    body.clear();
    let mut length = [0; 4];
    let mut filled = 0;
    while let Some(room) = length.get_mut(filled..).filter(|room| !room.is_empty()) {
        match stream.read(room) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let bytes = u32::from_le_bytes(length);
    if bytes > limit_bytes {
        let found = format!("a message of {bytes} bytes, more than {limit_bytes}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, found));
    }
    body.reserve((bytes as usize).min(PIECE_BYTES));
    match stream.take(bytes.into()).read_to_end(body)? == bytes as usize {
        true => Ok(true),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Writes a frame.
///
/// # Errors
/// Fails if the connection fails, or if the body is too long for a frame.
pub(crate) fn write(stream: &mut impl Write, body: &[u8]) -> io::Result<()> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "a message of more than 4 GiB cannot be sent");
    let bytes = u32::try_from(body.len()).map_err(|_| too_long())?;
    // Small frames go in one piece, because each write may become a packet.
    if body.len() <= 1 << 16 {
        let frame: Vec<u8> = bytes.to_le_bytes().iter().chain(body).copied().collect();
        return stream.write_all(&frame);
    }
    stream.write_all(&bytes.to_le_bytes())?;
    stream.write_all(body)
}

/// Writes a message as a frame.
///
/// # Errors
/// As [`write`].
pub(crate) fn send(stream: &mut impl Write, message: &impl prost::Message) -> io::Result<()> {
    let bytes = message.encoded_len();
    let length = u32::try_from(bytes);
    let length = length.map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a message of more than 4 GiB"))?;
    let mut frame = Vec::with_capacity(bytes + 4);
    frame.extend(length.to_le_bytes());
    message.encode_raw(&mut frame);
    stream.write_all(&frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_alone_takes_no_memory() {
        let mut body = Vec::new();
        let mut stream = &b"\xff\xff\xff\xffab"[..];
        let error = read(&mut stream, u32::MAX, &mut body).expect_err("the frame is cut");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.capacity() <= PIECE_BYTES, "{}", body.capacity());
    }

    #[test]
    fn frames_are_read_as_they_are_written() {
        let mut stream = Vec::new();
        for body in [&b""[..], b"a", &[7; 100_000]] {
            write(&mut stream, body).expect("memory takes it");
        }
        let (mut rest, mut body) = (stream.as_slice(), Vec::new());
        for bytes in [0, 1, 100_000] {
            assert!(read(&mut rest, 100_000, &mut body).expect("it is whole"));
            assert_eq!(body.len(), bytes);
        }
        assert!(!read(&mut rest, 1, &mut body).expect("it ends between two frames"));
        let error = read(&mut stream.get(4..).expect("it is longer"), 0, &mut body).expect_err("it is too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
