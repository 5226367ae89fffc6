//! Hands over what a run on R0VM makes beside rows: segments to who takes them, trace events to callbacks.
//!
//! It stands between a session and the run, and keeps what a failure has left undone for the next run. It must not know
//! how segments are hashed, or how events are made of rows.

use std::any::Any;

use super::events::{TraceCallback, TraceEvents};
use super::report::Report;
use super::sealer::{Sealer, SegmentSink, Unsealed};
use super::surroundings::RecordsSlot;
use crate::callers::{self, Failed};
use crate::error::Error;
use crate::limits::{CancelHandle, Limits};
use crate::program::Program;
use crate::run::{Run, State};
use crate::status::Status;
use crate::trace::{Effect, Level, Row, Sink, SinkError};

/// Who takes what a run makes beside rows.
pub(crate) struct Takers<'env> {
    pub(super) segments: Option<SegmentSink<'env>>,
    pub(super) events: Vec<TraceCallback<'env>>,
    /// Where the machine's records go.
    pub(super) records: RecordsSlot,
}

/// See the module.
pub(super) struct Handover<'env> {
    run: Box<dyn Run + 'env>,
    records: RecordsSlot,
    /// Hashes segments and hands them over, where someone takes them.
    sealer: Option<Sealer<'env>>,
    /// Makes events of the rows of every run, where someone takes them.
    events: Option<TraceEvents<TraceCallback<'env>>>,
    /// Whether the caller's sink has the rows of which an event was refused.
    sink_is_done: bool,
    /// Whether this is a child of the process whose thread has the segments of the run in which it forked.
    lost_segments: bool,
    /// How the program ended, if a segment that was refused has kept that from the caller.
    unsaid: Option<Result<Status, Error>>,
    /// What the parts came to that ended with a pause, after which the program went on.
    earlier: Vec<Report>,
}

impl<'env> Handover<'env> {
    pub(super) fn new(program: &Program, takers: Takers<'env>, run: Box<dyn Run + 'env>) -> Handover<'env> {
        Handover {
            run,
            records: takers.records,
            sealer: takers.segments.map(|sink| Sealer::new(program, sink)),
            events: TraceEvents::to_all(takers.events),
            sink_is_done: false,
            lost_segments: false,
            unsaid: None,
            earlier: Vec::new(),
        }
    }

    /// What the part under way came to so far.
    fn part(&self) -> Option<Report> {
        let report: Box<Report> = self.run.report()?.downcast().ok()?;
        Some(Report { roots: self.sealer.as_ref().and_then(Sealer::roots), ..*report })
    }

    /// Keeps how the program ended for the next run to say.
    fn leave_unsaid(&mut self, ran: Result<Status, Error>) {
        let is_the_end = match &ran {
            Ok(status) => *status != Status::Reached,
            // A program that has ended well has another end than this.
            Err(_) if self.run.state().exit_code().is_some() => false,
            Err(Error::Sink { .. } | Error::Event { .. } | Error::Segment { .. } | Error::Ended { .. }) => false,
            Err(_) => self.run.is_over(),
        };
        if is_the_end {
            self.unsaid.get_or_insert(ran);
        }
    }

    /// How a run ended, or an earlier one if nobody has said that yet.
    fn said(&mut self, ran: Option<Result<Status, Error>>) -> Result<Status, Error> {
        match ran {
            Some(Err(Error::Ended { location })) => self.unsaid.take().unwrap_or(Err(Error::Ended { location })),
            Some(ran) => ran,
            None => Err(Error::Internal { what: "nothing was run".to_owned(), location: self.run.state().location() }),
        }
    }
}

impl Run for Handover<'_> {
    fn run(
        &mut self,
        until: u64,
        limits: &Limits,
        cancel: &CancelHandle,
        sink: &mut dyn Sink,
    ) -> Result<Status, Error> {
        if self.lost_segments {
            return Err(Error::Forked { location: self.run.state().location() });
        }
        let Handover { run, records: slot, sealer, events, sink_is_done, .. } = self;
        let mut run = || run_with_events(run.as_mut(), (until, limits, cancel), events, sink_is_done, sink);
        let Some(sealer) = sealer else { return run() };
        let (ran, unsealed) = sealer.beside(|records| {
            slot.set(Some(records));
            // A panic, too, must leave nobody who could still send records: the thread waits for them.
            let ran = callers::call(run);
            slot.set(None);
            ran.unwrap_or_else(|panic| panic.resume())
        });
        if matches!(unsealed, Some(Unsealed::Elsewhere)) {
            // The thread of the parent may have been changing it: it is never touched again, not even by a panic.
            std::mem::forget(self.sealer.take());
            self.lost_segments = true;
        }
        let ran = ran.map(|ran| ran.unwrap_or_else(|panic| panic.resume()));
        let Some(unsealed) = unsealed else { return self.said(ran) };
        let location = self.run.state().location();
        let (index, failed) = match unsealed {
            Unsealed::Thread(source) => return Err(Error::Thread { source }),
            Unsealed::Broken => {
                let what = "the thread that hashes segments has panicked".to_owned();
                return Err(Error::Internal { what, location });
            }
            Unsealed::Elsewhere => return Err(Error::Forked { location }),
            Unsealed::Refused(index, failed) => (index, failed),
        };
        // What else went wrong came first, and is said; the segment comes again with the next run.
        match (ran, failed) {
            (Some(ran), Failed::Panic(panic)) => {
                self.leave_unsaid(ran);
                panic.resume()
            }
            (Some(Err(error)), Failed::Error(_)) if !matches!(error, Error::Segment { .. } | Error::Ended { .. }) => {
                Err(error)
            }
            (Some(ran), Failed::Error(source)) => {
                self.leave_unsaid(ran);
                Err(Error::Segment { index, location, source })
            }
            (None, Failed::Panic(panic)) => panic.resume(),
            (None, Failed::Error(source)) => Err(Error::Segment { index, location, source }),
        }
    }

    fn is_over(&self) -> bool {
        self.run.is_over()
    }

    fn owes(&self) -> bool {
        self.run.owes() || self.unsaid.is_some() || self.sealer.as_ref().is_some_and(Sealer::owes)
    }

    /// Segments and cycles are then counted from 0 again.
    fn resume(&mut self) -> bool {
        let report = self.part();
        if !self.run.resume() {
            return false;
        }
        self.earlier.extend(report);
        if let Some(events) = &mut self.events {
            events.begin_part();
        }
        if let Some(sealer) = &mut self.sealer {
            sealer.begin_part();
        }
        true
    }

    fn report(&self) -> Option<Box<dyn Any>> {
        Some(Box::new(Report { earlier: self.earlier.clone(), ..self.part()? }))
    }

    fn state(&self) -> &dyn State {
        self.run.state()
    }
}

/// Has the rows of a run made into events, too, if someone takes them.
fn run_with_events(
    run: &mut (dyn Run + '_),
    (until, limits, cancel): (u64, &Limits, &CancelHandle),
    events: &mut Option<TraceEvents<TraceCallback<'_>>>,
    sink_is_done: &mut bool,
    sink: &mut dyn Sink,
) -> Result<Status, Error> {
    let Some(events) = events else { return run.run(until, limits, cancel, sink) };
    let mut both = WithEvents { wants_rows: sink.level() != Level::Off, sink, sink_is_done, events };
    let ran = run.run(until, limits, cancel, &mut both);
    match ran {
        // The sink has them; what was refused is an event.
        Err(Error::Sink { location, source }) if *both.sink_is_done => Err(Error::Event { location, source }),
        ran => ran,
    }
}

/// A sink, and behind it the callbacks that take events. Each gets everything once, whoever fails when.
struct WithEvents<'a, 'env> {
    sink: &'a mut dyn Sink,
    wants_rows: bool,
    sink_is_done: &'a mut bool,
    events: &'a mut TraceEvents<TraceCallback<'env>>,
}

impl Sink for WithEvents<'_, '_> {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        if self.wants_rows && !*self.sink_is_done {
            self.sink.rows(first_step, rows, effects)?;
        }
        *self.sink_is_done = true;
        self.events.rows(first_step, rows, effects)?;
        *self.sink_is_done = false;
        Ok(())
    }
    fn end(&mut self, step: u64) -> Result<(), SinkError> {
        self.sink.end(step)
    }
}
