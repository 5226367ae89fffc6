//! The connection to a host while its request is served: calls of the host, and events that are sent ahead.
//!
//! The host answers each message before it reads the next one. A thread reads all answers as they arrive, so a call that
//! nobody waits for costs no round trip, and the end of the connection is noticed at any time. Then everybody who waits
//! gets an error, and the run is cancelled.
//!
//! This file must not know what the messages mean.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prost::Message;
use tachy::CancelHandle;

use crate::frames;
use crate::protocol::api::{IoReplyKind, OnIoReply, ServerReply};

/// Bytes of events that may wait before they are sent.
const EVENT_BYTES: usize = 64 << 10;

/// The answer to an event that was taken: an empty success.
const TAKEN: [u8; 2] = [0x0a, 0];

/// The host's ends of a connection.
pub(crate) struct Streams {
    pub(crate) reader: BufReader<Box<dyn Read + Send>>,
    pub(crate) writer: Box<dyn Write + Send>,
}

/// The host is gone, or has broken the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Gone(String);

/// What to do about the next answer.
enum Expected {
    /// It answers an event.
    Event,
    /// Somebody waits for it.
    Answer(SyncSender<Vec<u8>>),
}

/// An answer that will come.
pub(crate) struct Answer(Receiver<Vec<u8>>);

/// See the module.
pub(crate) struct Connection {
    out: Mutex<Out>,
    shared: Arc<Shared>,
}

struct Out {
    stream: BufWriter<Box<dyn Write + Send>>,
    expected: Sender<Expected>,
}

/// What both sides of the connection share.
struct Shared {
    events: Mutex<Events>,
    /// Signals that an event was answered, or that the host is gone.
    answered: Condvar,
    is_gone: AtomicBool,
    cancel: CancelHandle,
}

/// Events that were sent.
#[derive(Default)]
struct Events {
    /// Not answered yet.
    open: u64,
    /// The first refusal.
    refused: Option<String>,
    /// Why no more answers come.
    gone: Option<String>,
}

impl Connection {
    /// Begins to read answers. If `exit_after` is given and the process still runs that long after the host is gone, the
    /// process ends.
    ///
    /// # Errors
    /// Fails if the system refuses a thread.
    pub(crate) fn new(streams: Streams, exit_after: Option<Duration>) -> io::Result<Connection> {
        let (sender, expected) = channel();
        let shared = Arc::new(Shared {
            events: Mutex::default(),
            answered: Condvar::new(),
            is_gone: AtomicBool::new(false),
            cancel: CancelHandle::default(),
        });
        let (reader, other) = (streams.reader, Arc::clone(&shared));
        thread::Builder::new().name("tachy-host".to_owned()).spawn(move || {
            let why = read_answers(reader, &expected, &other);
            // First, so that whoever learns of the end learns why.
            other.end(why);
            // Who waits for an answer is told by the end of the channel.
            drop(expected);
            if let Some(time) = exit_after {
                thread::sleep(time);
                std::process::exit(crate::EXIT_HOST_GONE);
            }
        })?;
        let stream = BufWriter::with_capacity(EVENT_BYTES, streams.writer);
        Ok(Connection { out: Mutex::new(Out { stream, expected: sender }), shared })
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns why the host is gone.
    pub(crate) fn why_gone(&self) -> Gone {
        let why = self.shared.events().gone.clone();
        Gone(why.unwrap_or_else(|| "the connection to the host is broken".to_owned()))
    }

    /// Returns the handle that is cancelled when the host is gone.
    pub(crate) fn cancel_handle(&self) -> CancelHandle {
        self.shared.cancel.clone()
    }

    /// Returns whether the host is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.shared.is_gone.load(Ordering::Acquire)
    }

    /// Sends a message and waits for its answer, as long as the host takes.
    ///
    /// # Errors
    /// Fails if the host is gone.
    pub(crate) fn call(&self, message: &ServerReply) -> Result<Vec<u8>, Gone> {
        let answer = self.begin(message)?;
        self.wait(&answer)
    }

    /// Sends a message whose answer is waited for later.
    ///
    /// # Errors
    /// Fails if the host is gone.
    pub(crate) fn begin(&self, message: &ServerReply) -> Result<Answer, Gone> {
        let (sender, answer) = sync_channel(1);
        self.post(message, Expected::Answer(sender), true)?;
        Ok(Answer(answer))
    }

    /// Waits for an answer, as long as the host takes.
    ///
    /// # Errors
    /// Fails if the host is gone.
    pub(crate) fn wait(&self, answer: &Answer) -> Result<Vec<u8>, Gone> {
        answer.0.recv().map_err(|_| self.why_gone())
    }

    /// Sends an event and does not wait for its answer.
    ///
    /// # Errors
    /// Fails if the host is gone or has refused an event.
    pub(crate) fn event(&self, message: &ServerReply) -> Result<(), String> {
        {
            let mut events = self.shared.events();
            if let Some(refused) = &events.refused {
                return Err(refused.clone());
            }
            events.open += 1;
        }
        self.post(message, Expected::Event, false).map_err(|gone| gone.to_string())
    }

    /// Waits until all events are answered.
    ///
    /// # Errors
    /// Fails if the host is gone or has refused an event.
    pub(crate) fn end_events(&self) -> Result<(), String> {
        self.out().stream.flush().map_err(|_| self.why_gone().to_string())?;
        let events = self.shared.events();
        let waits = |events: &mut Events| events.open > 0 && events.gone.is_none();
        let events = self.shared.answered.wait_while(events, waits).unwrap_or_else(PoisonError::into_inner);
        match (&events.refused, &events.gone) {
            (Some(why), _) => Err(why.clone()),
            (None, Some(why)) if events.open > 0 => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// Sends the last message, which has no answer.
    ///
    /// # Errors
    /// Fails if the host is gone.
    pub(crate) fn finish(&self, message: &ServerReply) -> Result<(), Gone> {
        let mut out = self.out();
        let sent = frames::send(&mut out.stream, message).and_then(|()| out.stream.flush());
        drop(out);
        sent.map_err(|error| Gone(format!("the host does not take the result: {error}")))
    }

    fn post(&self, message: &ServerReply, expected: Expected, flush: bool) -> Result<(), Gone> {
        let mut out = self.out();
        // First, because the answer may arrive before the next statement.
        let known = out.expected.send(expected).is_ok();
        let sent = known && frames::send(&mut out.stream, message).is_ok() && (!flush || out.stream.flush().is_ok());
        drop(out);
        match sent {
            true => Ok(()),
            false => Err(self.why_gone()),
        }
    }
}

impl Shared {
    fn events(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the answer to an event.
    fn take_event(&self, refused: Option<String>) {
        let mut events = self.events();
        events.open = events.open.saturating_sub(1);
        if events.refused.is_none() {
            events.refused = refused;
        }
        let is_last = events.open == 0;
        drop(events);
        if is_last {
            self.answered.notify_all();
        }
    }

    /// Notes that no more answers come, and stops the run.
    fn end(&self, why: String) {
        self.events().gone = Some(why);
        self.is_gone.store(true, Ordering::Release);
        self.answered.notify_all();
        self.cancel.cancel();
    }
}

/// Reads answers until the connection ends or the host breaks the protocol; returns why.
fn read_answers(mut reader: BufReader<Box<dyn Read + Send>>, expected: &Receiver<Expected>, shared: &Shared) -> String {
    let mut body = Vec::new();
    loop {
        match frames::read(&mut reader, u32::MAX, &mut body) {
            Ok(true) => {}
            Ok(false) => return "the host has closed the connection".to_owned(),
            Err(error) => return format!("the connection to the host failed: {error}"),
        }
        match expected.try_recv() {
            Ok(Expected::Event) if body == TAKEN => shared.take_event(None),
            Ok(Expected::Event) => match OnIoReply::decode(body.as_slice()).map(|reply| reply.kind) {
                Ok(Some(IoReplyKind::Ok(_))) => shared.take_event(None),
                Ok(Some(IoReplyKind::Error(error))) => shared.take_event(Some(error.reason)),
                Ok(None) => return "the host's answer to an event is neither success nor error".to_owned(),
                Err(error) => return format!("the host's answer to an event is malformed: {error}"),
            },
            // If nobody waits any more, the run has ended otherwise.
            Ok(Expected::Answer(waiting)) => drop(waiting.send(std::mem::take(&mut body))),
            Err(_) => return "the host has sent a message that nobody asked for".to_owned(),
        }
    }
}
