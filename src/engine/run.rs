//! A hart as a session runs and inspects it, whatever its machine.

use std::any::Any;
use std::time::Duration;

use tachy_runtime::Vm;

use super::Hart;
use crate::error::{Error, Location};
use crate::limits::{CancelHandle, Limits};
use crate::machine::Machine;
use crate::machine_kind::MachineKind;
use crate::run::{Run, State};
use crate::stats::Stats;
use crate::status::Status;
use crate::trace::{Replay, Sink};

impl<M: Machine> Run for Hart<'_, M> {
    fn run(
        &mut self,
        until: u64,
        limits: &Limits,
        cancel: &CancelHandle,
        sink: &mut dyn Sink,
    ) -> Result<Status, Error> {
        Hart::run(self, until, limits, cancel, sink)
    }

    fn is_over(&self) -> bool {
        Hart::is_over(self)
    }

    fn owes(&self) -> bool {
        Hart::owes(self)
    }

    fn resume(&mut self) -> bool {
        Hart::resume(self)
    }

    fn report(&self) -> Option<Box<dyn Any>> {
        self.machine.report(&self.vm, &self.context).map(|report| Box::new(report) as Box<dyn Any>)
    }

    fn state(&self) -> &dyn State {
        self
    }
}

impl<M: Machine> State for Hart<'_, M> {
    fn machine(&self) -> MachineKind {
        M::KIND
    }

    fn vm(&self) -> &Vm {
        &self.vm
    }

    fn location(&self) -> Location {
        Hart::location(self)
    }

    fn exit(&self) -> Option<Status> {
        self.exit
    }

    fn exit_code(&self) -> Option<u32> {
        Hart::exit_code(self)
    }

    fn spent(&self) -> Duration {
        Hart::spent(self)
    }

    fn stats(&self) -> Stats {
        Hart::stats(self)
    }

    fn handles_traps(&self) -> bool {
        M::HANDLES_TRAPS
    }

    fn replay(&self, until: u64) -> Replay {
        let location = Hart::location(self);
        Replay::new((M::VARIANT, M::REPLAY), location.step, location.pc, self.vm.registers(), until)
    }
}
