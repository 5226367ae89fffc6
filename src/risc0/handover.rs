//! Hands over the products of a run on R0VM beside rows: segments to their sink, trace events to callbacks.
//!
//! This file stands between a session and the run. After a failure, it keeps unfinished work for the next run. It must
//! not know how segments are hashed, or how events are derived from rows.

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

/// Takers of a run's products beside rows.
pub(crate) struct Takers<'env> {
    pub(super) segments: Option<SegmentSink<'env>>,
    /// Maximum number of threads that hash segments.
    pub(super) max_hashing_threads: usize,
    pub(super) events: Vec<TraceCallback<'env>>,
    /// Destination of the machine's records.
    pub(super) records: RecordsSlot<'env>,
}

/// A run with its takers; see the module.
pub(super) struct Handover<'env> {
    run: Box<dyn Run + 'env>,
    records: RecordsSlot<'env>,
    /// Hashes segments and hands them over, if a sink takes them.
    sealer: Option<Sealer<'env>>,
    /// Derives events from the rows of every run, if a callback takes them.
    events: Option<TraceEvents<TraceCallback<'env>>>,
    /// Whether the caller's sink has the rows of a refused event.
    sink_is_done: bool,
    /// Whether this is a child of the process whose threads hold the segments of the run that forked.
    lost_segments: bool,
    /// How the program ended, if a refused segment kept that from the caller.
    unsaid: Option<Result<Status, Error>>,
    /// Reports of earlier parts, each ended by a pause.
    earlier: Vec<Report>,
}

impl<'env> Handover<'env> {
    pub(super) fn new(program: &Program, takers: Takers<'env>, run: Box<dyn Run + 'env>) -> Handover<'env> {
        Handover {
            run,
            records: takers.records,
            sealer: takers.segments.map(|sink| Sealer::new(program, sink, takers.max_hashing_threads)),
            events: TraceEvents::to_all(takers.events),
            sink_is_done: false,
            lost_segments: false,
            unsaid: None,
            earlier: Vec::new(),
        }
    }

    /// Returns the report of the current part so far.
    fn part(&self) -> Option<Report> {
        let report: Box<Report> = self.run.report()?.downcast().ok()?;
        Some(Report { roots: self.sealer.as_ref().and_then(Sealer::roots), ..*report })
    }

    /// Keeps how the program ended, for the next run to return.
    fn leave_unsaid(&mut self, ran: Result<Status, Error>) {
        let is_the_end = match &ran {
            Ok(status) => *status != Status::Reached,
            // The program has exited, so this error is not how it ended.
            Err(_) if self.run.state().exit_code().is_some() => false,
            Err(Error::Sink { .. } | Error::Event { .. } | Error::Segment { .. } | Error::Ended { .. }) => false,
            Err(_) => self.run.is_over(),
        };
        if is_the_end {
            self.unsaid.get_or_insert(ran);
        }
    }

    /// Returns how a run ended, or how an earlier one did if no run has returned that yet.
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
            // Even after a panic, no sender of records may remain: the threads end when it is dropped.
            let ran = callers::call(run);
            slot.set(None);
            ran.unwrap_or_else(|panic| panic.resume())
        });
        if matches!(unsealed, Some(Unsealed::Elsewhere)) {
            // The parent's threads may have been changing the sealer. It is never touched again, not even by a panic.
            std::mem::forget(self.sealer.take());
            self.lost_segments = true;
        }
        let ran = ran.map(|ran| ran.unwrap_or_else(|panic| panic.resume()));
        let Some(unsealed) = unsealed else { return self.said(ran) };
        let location = self.run.state().location();
        let (index, failed) = match unsealed {
            Unsealed::Broken => {
                let what = "a thread that hashes segments has panicked".to_owned();
                return Err(Error::Internal { what, location });
            }
            Unsealed::Elsewhere => return Err(Error::Forked { location }),
            Unsealed::Refused(index, failed) => (index, failed),
        };
        // Any other error happened first, so it is returned. The segment comes again in the next run.
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

    /// Resets the counts of segments and cycles to 0.
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

/// Executes a run, and derives events from its rows if a callback takes them.
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
        // The sink has taken the rows, so an event was refused.
        Err(Error::Sink { location, source }) if *both.sink_is_done => Err(Error::Event { location, source }),
        ran => ran,
    }
}

/// A sink, followed by the callbacks that take events. Each gets everything once, whichever of them fails.
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
}
