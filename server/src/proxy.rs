//! Passes a request on to RISC Zero's own server and copies everything else, unread, in both directions.
//!
//! That server connects to a port, as it does for a host. It gets the host's greeting and request again, and only its
//! greeting is dropped, because the host has ours. This file must not know what the messages mean.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use prost::Message;

use crate::connection::Streams;
use crate::find::PASSED_ON;
use crate::frames;
use crate::protocol::api::{HelloKind, HelloReply};

/// How long the other server may take to connect, as a host would wait.
const CONNECT: Duration = Duration::from_secs(10);
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(5);
/// Largest greeting.
const HELLO_BYTES: u32 = 64 << 10;

/// Why a request was not passed on. Nothing was sent to the host.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPassed {
    #[error("cannot start {path}: {error}")]
    Start { path: String, error: io::Error },
    #[error("{path} ended with {status} before it connected")]
    Ended { path: String, status: ExitStatus },
    #[error("{path} did not connect within 10 seconds")]
    Late { path: String },
    #[error("{path} does not serve this host: {why}")]
    Refused { path: String, why: String },
}

/// Passes a request on. Returns the exit code of the other server once it has ended, 101 if a signal ended it. `hello`
/// and `request` are the frames that the host has sent.
///
/// # Errors
/// Fails if the other server does not get as far as to take the request; `streams` then are as before.
pub(crate) fn pass_on(path: &Path, hello: &[u8], request: &[u8], streams: Streams) -> Result<u8, (Streams, NotPassed)> {
    let (server, child) = match begin(path, hello, request) {
        Ok(begun) => begun,
        Err(error) => return Err((streams, error)),
    };
    let child = Arc::new(Mutex::new(child));
    let Streams { mut reader, mut writer } = streams;
    let (killed, upward) = (Arc::clone(&child), server.try_clone());
    if let Ok(mut upward) = upward {
        thread::spawn(move || {
            // How the copy ends does not matter: the host is gone, or the other server is.
            let _ = copy(&mut reader, &mut upward);
            let _ = upward.shutdown(Shutdown::Both);
            let _ = killed.lock().unwrap_or_else(PoisonError::into_inner).kill();
        });
    }
    let _ = copy(&mut &server, &mut writer);
    loop {
        let ended = child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
        match ended {
            Ok(Some(status)) => return Ok(status.code().map_or(101, |code| code as u8)),
            Ok(None) => thread::sleep(LOOK),
            Err(_) => return Ok(101),
        }
    }
}

/// Starts the other server and hands it the request.
fn begin(path: &Path, hello: &[u8], request: &[u8]) -> Result<(TcpStream, Child), NotPassed> {
    let name = || path.display().to_string();
    let start = |error| NotPassed::Start { path: name(), error };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(start)?;
    let port = listener.local_addr().map_err(start)?.port();
    listener.set_nonblocking(true).map_err(start)?;
    let mut command = Command::new(path);
    let mut child = command.arg("--port").arg(port.to_string()).env(PASSED_ON, "1").spawn().map_err(start)?;
    let connected = accept(&listener, &mut child, path).and_then(|mut server| {
        greet(&mut server, hello, request).map_err(|why| NotPassed::Refused { path: name(), why })?;
        Ok(server)
    });
    match connected {
        Ok(server) => Ok((server, child)),
        Err(error) => {
            // It has no host to serve.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

fn accept(listener: &TcpListener, child: &mut Child, path: &Path) -> Result<TcpStream, NotPassed> {
    let name = || path.display().to_string();
    let start = |error| NotPassed::Start { path: name(), error };
    let begin = Instant::now();
    loop {
        match listener.accept() {
            Ok((server, _)) => {
                server.set_nonblocking(false).and_then(|()| server.set_nodelay(true)).map_err(start)?;
                return Ok(server);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(start(error)),
        }
        if let Some(status) = child.try_wait().map_err(start)? {
            return Err(NotPassed::Ended { path: name(), status });
        }
        if begin.elapsed() > CONNECT {
            return Err(NotPassed::Late { path: name() });
        }
        thread::sleep(LOOK);
    }
}

/// Exchanges greetings and hands the request over.
fn greet(server: &mut TcpStream, hello: &[u8], request: &[u8]) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    frames::write(server, hello).map_err(failed)?;
    let mut body = Vec::new();
    if !frames::read(server, HELLO_BYTES, &mut body).map_err(failed)? {
        return Err("it closed the connection".to_owned());
    }
    match HelloReply::decode(body.as_slice()).map_err(|error| error.to_string())?.kind {
        Some(HelloKind::Ok(_)) => frames::write(server, request).map_err(failed),
        Some(HelloKind::Error(error)) => Err(error.reason),
        None => Err("its greeting is empty".to_owned()),
    }
}

/// Copies bytes as they arrive, until one side ends.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let bytes = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..bytes).unwrap_or_default())?;
        to.flush()?;
    }
}
