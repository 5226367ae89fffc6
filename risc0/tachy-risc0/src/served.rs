//! Requests from a guest's thread to the thread of the caller, which holds streams and callbacks that must not leave it.
//! This file must not know what is asked.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use anyhow::{Error, Result};
use tachy::risc0::TraceEvent;
use tachy::risc0::host::KeccakRequest;

/// A request of the guest's thread.
pub(crate) enum Request {
    Read {
        fd: u32,
        bytes: usize,
    },
    Write {
        fd: u32,
        bytes: Vec<u8>,
    },
    Slice {
        name: String,
        from_guest: Vec<u8>,
    },
    Keccak(KeccakRequest),
    Events(Vec<TraceEvent>),
    /// An encoded segment.
    Segment(Vec<u8>),
}

/// A request was refused; the thread of the caller has the reason.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

enum Message {
    Request(Request, SyncSender<Result<Vec<u8>, Refused>>),
    Done,
}

/// The guest's end.
#[derive(Clone)]
pub(crate) struct Caller(Sender<Message>);

impl Caller {
    /// Waits for the answer to a request.
    pub(crate) fn ask(&self, request: Request) -> Result<Vec<u8>, Refused> {
        let gone = || Refused("the host is gone".to_owned());
        let (answer, answered) = sync_channel(1);
        self.0.send(Message::Request(request, answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

/// The caller's end.
pub(crate) struct Requests(Receiver<Message>);

/// Creates both ends.
pub(crate) fn link() -> (Caller, Requests) {
    let (sender, receiver) = channel();
    (Caller(sender), Requests(receiver))
}

impl Requests {
    /// Runs `guest` on a thread of its own, and answers its requests on this one until it ends. Returns its result, and
    /// the first error of an answer.
    pub(crate) fn serve<T: Send>(
        &self,
        caller: &Caller,
        guest: impl FnOnce() -> T + Send,
        mut answer: impl FnMut(Request) -> Result<Vec<u8>>,
    ) -> (T, Option<Error>) {
        /// Says that the guest has ended, also by a panic.
        struct End(Caller);
        impl Drop for End {
            fn drop(&mut self) {
                // If nobody listens, nobody waits.
                let _ = self.0.0.send(Message::Done);
            }
        }
        let (mut first, mut panicked): (Option<Error>, Option<Box<dyn Any + Send>>) = (None, None);
        let end = End(caller.clone());
        let result = thread::scope(|scope| {
            let guest = scope.spawn(move || {
                let _end = end;
                guest()
            });
            while let Ok(Message::Request(request, answered)) = self.0.recv() {
                // The guest waits for an answer, so a panic here has to wait for the guest.
                let result = match catch_unwind(AssertUnwindSafe(|| answer(request))) {
                    Ok(result) => result.map_err(|error| {
                        let refused = Refused(error.to_string());
                        first.get_or_insert(error);
                        refused
                    }),
                    Err(panic) => {
                        panicked.get_or_insert(panic);
                        Err(Refused("the host panicked".to_owned()))
                    }
                };
                let _ = answered.send(result);
            }
            guest.join()
        });
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
        (result.unwrap_or_else(|panic| resume_unwind(panic)), first)
    }
}

/// The guest's end of a stream to read.
pub(crate) struct Source(pub(crate) Caller, pub(crate) u32);

impl io::Read for Source {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let found = self.0.ask(Request::Read { fd: self.1, bytes: room.len() }).map_err(io::Error::other)?;
        let room =
            room.get_mut(..found.len()).ok_or_else(|| io::Error::other("a reader gave more than it was asked for"))?;
        room.copy_from_slice(&found);
        Ok(found.len())
    }
}

/// The guest's end of a stream to write.
pub(crate) struct Target(pub(crate) Caller, pub(crate) u32);

impl io::Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.ask(Request::Write { fd: self.1, bytes: bytes.to_vec() }).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
