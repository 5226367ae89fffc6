//! The caller's code with one failing call: streams, hosts, callbacks and sinks.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};

use tachy::risc0::host::{CallbackError, Guest, Host, HostEnv, HostError, SliceIo};
use tachy::risc0::{Segment, TraceEvent};
use tachy::trace::{Effect, SinkError, VecSink};
use tachy::{Row, Sink};

use crate::common::rng::Rng;

/// Points where the library calls the caller's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    Read,
    Write,
    Flush,
    Host,
    Callback,
    Coprocessor,
    Random,
    Segment,
    Event,
    Sink,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Error,
    Panic,
}

/// One failing call, by its index among the calls of its point, and the number of calls of each point.
#[derive(Clone)]
pub struct Fault(Arc<Mutex<Plan>>);

/// Points that fail at random: one call in so many, in one of these ways.
type Places = BTreeMap<Point, (u64, Vec<How>)>;

struct Plan {
    fails: Option<(Point, usize, How)>,
    /// Additional random failures at these points.
    often: Option<(Rng, Places)>,
    calls: BTreeMap<Point, usize>,
}

const WORDS: &str = "it fails on purpose";

impl Fault {
    pub fn never() -> Fault {
        Fault::planned(None, None)
    }

    fn planned(fails: Option<(Point, usize, How)>, often: Option<(Rng, Places)>) -> Fault {
        Fault(Arc::new(Mutex::new(Plan { fails, often, calls: BTreeMap::new() })))
    }

    /// Returns a fault that fails repeatedly: one call in so many at each point, in one of these ways.
    pub fn often(seed: u64, places: &[(Point, u64, &[How])]) -> Fault {
        let places = places.iter().map(|(point, one_of, ways)| (*point, (*one_of, ways.to_vec()))).collect();
        Fault::planned(None, Some((Rng::new(seed), places)))
    }

    pub fn at(point: Point, call: usize, how: How) -> Fault {
        Fault::planned(Some((point, call, how)), None)
    }

    /// Returns the number of calls of that point.
    pub fn calls(&self, point: Point) -> usize {
        self.0.lock().expect("it is not held in a panic").calls.get(&point).copied().unwrap_or(0)
    }

    /// Counts a call of a point, and fails if its turn has come.
    pub fn meet(&self, point: Point) -> Result<(), String> {
        let how = {
            let mut plan = self.0.lock().expect("it is not held in a panic");
            let calls = plan.calls.entry(point).or_default();
            let call = *calls;
            *calls += 1;
            let once = plan.fails.filter(|(at, number, _)| (*at, *number) == (point, call)).map(|(.., how)| how);
            once.or_else(|| {
                let (rng, places) = plan.often.as_mut()?;
                let (one_of, ways) = places.get(&point)?;
                (rng.below(*one_of) == 0).then(|| ways[rng.below(ways.len() as u64) as usize])
            })
        };
        match how {
            None => Ok(()),
            Some(How::Error) => Err(WORDS.to_owned()),
            // Bypasses the panic hook, which would print thousands of reports.
            Some(How::Panic) => resume_unwind(Box::new(WORDS)),
        }
    }
}

/// Supplies its bytes in pieces, so that a read can fail after some of them.
pub struct Pieces {
    bytes: Cursor<Vec<u8>>,
    most: usize,
    point: Point,
    fault: Fault,
}

impl Pieces {
    pub fn new(bytes: Vec<u8>, most: usize, point: Point, fault: &Fault) -> Pieces {
        Pieces { bytes: Cursor::new(bytes), most, point, fault: fault.clone() }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fault.meet(self.point).map_err(io::Error::other)?;
        let bytes = buffer.len().min(self.most);
        self.bytes.read(&mut buffer[..bytes])
    }
}

/// Output of a stream, which the test can examine while the session owns the stream.
pub type Said = Arc<Mutex<Vec<u8>>>;

/// Accepts bytes in pieces, so that a write can fail after some of them.
pub struct Taker {
    said: Said,
    most: usize,
    fault: Fault,
}

impl Taker {
    pub fn new(said: &Said, most: usize, fault: &Fault) -> Taker {
        Taker { said: said.clone(), most, fault: fault.clone() }
    }
}

impl Write for Taker {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.fault.meet(Point::Write).map_err(io::Error::other)?;
        let bytes = data.len().min(self.most);
        self.said.lock().expect("it is not held in a panic").extend(&data[..bytes]);
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.fault.meet(Point::Flush).map_err(io::Error::other)
    }
}

/// Answers a system call of its own: some bytes, followed by those of the guest.
pub struct Echo {
    pub answer: Vec<u8>,
    pub fault: Fault,
}

impl SliceIo for Echo {
    fn handle_io(&mut self, _: &str, from_guest: &[u8]) -> Result<Vec<u8>, CallbackError> {
        self.fault.meet(Point::Callback)?;
        Ok([&self.answer, from_guest].concat())
    }
}

/// A host of the caller's own, which delegates to the library's.
pub struct Asking<'env> {
    pub inner: HostEnv<'env>,
    pub fault: Fault,
}

impl Asking<'_> {
    fn meet(&self) -> Result<(), HostError> {
        let failed = |reason| HostError::Arguments { syscall: "any", reason, risc0: None };
        self.fault.meet(Point::Host).map_err(failed)
    }
}

impl Host for Asking<'_> {
    fn read(&mut self, guest: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        self.meet()?;
        self.inner.read(guest, descriptor, buffer)
    }

    fn write(&mut self, guest: &dyn Guest, descriptor: u32, data: &[u8]) -> Result<u32, HostError> {
        self.meet()?;
        self.inner.write(guest, descriptor, data)
    }
}

/// Keeps rows and effects; fails before it keeps them.
pub struct Recorder {
    pub kept: VecSink,
    pub fault: Fault,
}

impl Sink for Recorder {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        assert_eq!(first_step, self.kept.rows.len() as u64, "rows follow each other");
        self.fault.meet(Point::Sink)?;
        self.kept.rows(first_step, rows, effects)
    }
}

/// What was delivered one by one, in order.
pub type Kept<T> = Arc<Mutex<Vec<T>>>;

/// Keeps digests of segments, and fails before it keeps one.
pub fn take_segments(
    kept: &Kept<blake3::Hash>,
    fault: &Fault,
) -> impl FnMut(&Segment) -> Result<(), SinkError> + use<> {
    let (kept, fault) = (kept.clone(), fault.clone());
    move |segment| {
        fault.meet(Point::Segment)?;
        kept.lock().expect("it is not held in a panic").push(blake3::hash(&segment.encode()));
        Ok(())
    }
}

/// Keeps events, and fails before it keeps one.
pub fn take_events(kept: &Kept<TraceEvent>, fault: &Fault) -> impl FnMut(&TraceEvent) -> Result<(), SinkError> + use<> {
    let (kept, fault) = (kept.clone(), fault.clone());
    move |event| {
        fault.meet(Point::Event)?;
        kept.lock().expect("it is not held in a panic").push(*event);
        Ok(())
    }
}
