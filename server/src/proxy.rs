//! Passes a request on to RISC Zero's own server and copies everything else, unread, in both directions.
//!
//! That server connects to a port, as it does for a host. It gets the host's greeting and request again, and only its
//! greeting is dropped, because the host has ours. This file must not know what the messages mean.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// and `request` are the frames that the host has sent. If the host goes away, the other server is killed.
///
/// # Errors
/// Fails if the other server does not get as far as to take the request. The host may then be told through the stream
/// that comes back.
pub(crate) fn pass_on(
    path: &Path,
    hello: &[u8],
    request: &[u8],
    streams: Streams,
) -> Result<u8, (Box<dyn Write + Send>, NotPassed)> {
    let Streams { mut reader, mut writer } = streams;
    let (child, listener) = match start(path) {
        Ok(started) => started,
        Err(error) => return Err((writer, error)),
    };
    let child = Arc::new(Mutex::new(child));
    let (sender, from_host) = sync_channel::<Vec<u8>>(4);
    let killed = Arc::clone(&child);
    thread::spawn(move || {
        // However this ends, the host is gone or the other server is.
        let mut buffer = vec![0; 64 << 10];
        while let Ok(bytes @ 1..) = read(&mut reader, &mut buffer) {
            if sender.send(buffer.get(..bytes).unwrap_or_default().to_vec()).is_err() {
                break;
            }
        }
        let _ = lock(&killed).kill();
    });
    let connected = accept(&listener, &child, path).and_then(|mut server| {
        let refused = |why| NotPassed::Refused { path: path.display().to_string(), why };
        greet(&mut server, hello, request).map_err(refused)?;
        let upward = server.try_clone().map_err(|error| refused(error.to_string()))?;
        Ok((server, upward))
    });
    let (mut server, mut upward) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            // It has no host to serve.
            let _ = lock(&child).kill();
            wait(&child);
            return Err((writer, error));
        }
    };
    thread::spawn(move || {
        for bytes in from_host {
            if upward.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = upward.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = read(&mut server, &mut buffer) {
        let passed = writer.write_all(buffer.get(..bytes).unwrap_or_default()).and_then(|()| writer.flush());
        if passed.is_err() {
            break;
        }
    }
    Ok(wait(&child))
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a process that may be killed meanwhile. Returns its exit code, 101 if a signal ended it.
fn wait(child: &Mutex<Child>) -> u8 {
    loop {
        let ended = lock(child).try_wait();
        match ended {
            Ok(Some(status)) => return status.code().map_or(101, |code| code as u8),
            Ok(None) => thread::sleep(LOOK),
            Err(_) => return 101,
        }
    }
}

/// Starts the other server, and waits at a port for it.
fn start(path: &Path) -> Result<(Child, TcpListener), NotPassed> {
    let failed = |error| NotPassed::Start { path: path.display().to_string(), error };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    listener.set_nonblocking(true).map_err(failed)?;
    let mut command = Command::new(path);
    let child = command.arg("--port").arg(port.to_string()).env(PASSED_ON, "1").spawn().map_err(failed)?;
    Ok((child, listener))
}

fn accept(listener: &TcpListener, child: &Mutex<Child>, path: &Path) -> Result<TcpStream, NotPassed> {
    let name = || path.display().to_string();
    let failed = |error| NotPassed::Start { path: name(), error };
    let begin = Instant::now();
    loop {
        match listener.accept() {
            Ok((server, _)) => {
                server.set_nonblocking(false).and_then(|()| server.set_nodelay(true)).map_err(failed)?;
                return Ok(server);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(failed(error)),
        }
        // Also if the host is gone, because then it was killed.
        let ended = lock(child).try_wait().map_err(failed)?;
        if let Some(status) = ended {
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

/// Reads what has arrived; 0 at the end.
fn read(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
