//! The list of machines: the only place that knows them all.
//!
//! All other code is generic over [`Machine`] or asks this module by [`MachineKind`]. A machine that is in the kinds
//! but not here does not compile.

use std::sync::Arc;

use tachy_runtime::Vm;

use crate::bare::{self, Bare};
#[cfg(feature = "jit")]
use crate::crosscheck::Crosscheck;
use crate::engine::{Hart, Options};
use crate::error::Error;
use crate::isa::Variant;
use crate::jit::Caches;
#[cfg(feature = "jit")]
use crate::jit::Mode;
use crate::machine::{Budget, ExecutionContext, Machine, Settled, Surroundings};
use crate::machine_kind::MachineKind;
use crate::program::{Program, ProgramError};
#[cfg(feature = "risc0")]
use crate::risc0::{self, R0vm};
use crate::rules::Rules;
use crate::run::Run;

/// The caller's settings, grouped by machine.
#[derive(Default)]
pub(crate) struct Settings<'env> {
    pub(crate) bare: bare::Settings<'env>,
    #[cfg(feature = "risc0")]
    pub(crate) risc0: risc0::Settings<'env>,
}

impl Settings<'_> {
    /// Rejects settings that belong to another machine.
    pub(crate) fn check(&self, machine: MachineKind) -> Result<(), Error> {
        let (foreign, expected) = match machine {
            #[cfg(not(feature = "risc0"))]
            MachineKind::Bare => (None, ""),
            #[cfg(feature = "risc0")]
            MachineKind::Bare => (self.risc0.first_given(), "machine r0vm, or no such setting"),
            #[cfg(feature = "risc0")]
            MachineKind::R0vm => (self.bare.first_given(), "machine bare, or the same setting of HostEnv::builder()"),
        };
        match foreign {
            Some(what) => Err(Error::Configuration { what, found: format!("given on machine {machine}"), expected }),
            None => Ok(()),
        }
    }
}

/// How to run a session's program.
pub(crate) struct Setup<'a> {
    pub(crate) program: &'a Program,
    /// Compiled code; `None` for the interpreter alone.
    pub(crate) caches: Option<Arc<Caches>>,
    /// Whether the interpreter follows the JIT and compares.
    #[cfg(feature = "jit")]
    pub(crate) is_crosscheck: bool,
    pub(crate) options: Options,
    pub(crate) limit_memory_bytes: Option<u64>,
}

/// A run before its first step.
pub(crate) struct Started<'env> {
    pub(crate) run: Box<dyn Run + 'env>,
    /// User cycles that the machine's environment allows.
    pub(crate) limit_cycles: Option<u64>,
}

/// Starts a program on a machine.
pub(crate) fn start<'env>(
    machine: MachineKind,
    settings: Settings<'env>,
    setup: &Setup<'_>,
) -> Result<Started<'env>, Error> {
    settings.check(machine)?;
    match machine {
        MachineKind::Bare => start_on::<Bare>(settings.bare, setup),
        #[cfg(feature = "risc0")]
        MachineKind::R0vm => start_on::<R0vm>(settings.risc0, setup),
    }
}

fn start_on<'env, M: Machine>(settings: M::Settings<'env>, setup: &Setup<'_>) -> Result<Started<'env>, Error> {
    let Settled { surroundings, takers } = M::settle(settings)?;
    let limit_cycles = surroundings.limit_cycles();
    #[cfg(feature = "jit")]
    if setup.is_crosscheck {
        let (leader, follower, streams) = surroundings.split();
        let leader = boot::<M>(leader, setup, setup.caches.clone())?;
        let run = Box::new(Crosscheck::new(leader, boot::<M>(follower, setup, None)?, streams));
        return Ok(Started { run: M::hand_over(setup.program, takers, run), limit_cycles });
    }
    let run = boot::<M>(surroundings, setup, setup.caches.clone())?;
    Ok(Started { run: M::hand_over(setup.program, takers, run), limit_cycles })
}

fn boot<'env, M: Machine>(
    surroundings: M::Surroundings<'env>,
    setup: &Setup<'_>,
    caches: Option<Arc<Caches>>,
) -> Result<Box<dyn Run + 'env>, Error> {
    let mut vm = Vm::new()?;
    let mut budget = Budget::default();
    budget.set_limit_memory(setup.limit_memory_bytes);
    let machine = M::boot(setup.program, &surroundings, &mut vm.state(), &mut budget)?;
    let context = ExecutionContext::new(surroundings, budget);
    Ok(Box::new(Hart::<M>::new(vm, machine, context, caches, setup.options)))
}

/// Reads a program of any kind that the machine runs.
pub(crate) fn load(machine: MachineKind, bytes: &[u8]) -> Result<Program, ProgramError> {
    match machine {
        MachineKind::Bare => Program::from_elf(bytes),
        #[cfg(feature = "risc0")]
        MachineKind::R0vm => risc0::load(bytes),
    }
}

/// Determines the machine that a file is for, by its first bytes.
pub(crate) fn machine_of(bytes: &[u8]) -> MachineKind {
    match bytes {
        #[cfg(feature = "risc0")]
        bytes if risc0::is_program_binary(bytes) => MachineKind::R0vm,
        _ => MachineKind::Bare,
    }
}

/// Facts about a machine that do not depend on a run.
struct Facts {
    variant: Variant,
    modes: &'static [&'static str],
    rules: &'static [Rules],
    stack: Option<(u32, u32)>,
    counts_cycles: bool,
}

const fn facts<M: Machine>(stack: Option<(u32, u32)>) -> Facts {
    Facts { variant: M::VARIANT, modes: M::MODES, rules: M::RULES, stack, counts_cycles: M::COUNTS_CYCLES }
}

impl MachineKind {
    fn facts(self) -> Facts {
        match self {
            MachineKind::Bare => facts::<Bare>(Some((bare::STACK_TOP - bare::STACK_BYTES, bare::STACK_TOP))),
            #[cfg(feature = "risc0")]
            MachineKind::R0vm => facts::<R0vm>(None),
        }
    }

    /// Returns the column of the instruction table that applies to this machine.
    pub fn variant(self) -> Variant {
        self.facts().variant
    }

    /// Returns where this machine puts a program's stack: its first address and the first address past it. Returns
    /// `None` if the program chooses.
    pub fn stack(self) -> Option<(u32, u32)> {
        self.facts().stack
    }

    /// Returns whether this machine counts cycles, so that they can be limited.
    pub fn counts_cycles(self) -> bool {
        self.facts().counts_cycles
    }

    /// Returns the machine's modes, the least privileged first. Each mode has native code of its own.
    ///
    /// ```
    /// use tachy::MachineKind;
    ///
    /// let names = |machine: MachineKind| machine.modes().into_iter().map(|mode| mode.name()).collect::<Vec<_>>();
    /// assert_eq!(names(MachineKind::Bare), ["bare"]);
    /// assert_eq!(names(MachineKind::R0vm), ["user", "machine"]);
    /// ```
    #[cfg(feature = "jit")]
    pub fn modes(self) -> Vec<Mode> {
        let Facts { modes, rules, .. } = self.facts();
        modes.iter().zip(rules).map(|(&name, rules)| Mode::new(name, rules)).collect()
    }

    /// Returns the rules of each mode.
    pub(crate) fn rules(self) -> &'static [Rules] {
        self.facts().rules
    }
}
