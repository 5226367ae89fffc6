//! The modes of each machine, for those who ask the JIT about code without running it.

use crate::jit::Mode;
use crate::machine::{Bare, Machine, MachineKind, R0vm};

impl MachineKind {
    /// The machine's modes, the least privileged first. Each has native code of its own.
    ///
    /// ```
    /// use tachy::MachineKind;
    ///
    /// let names = |machine: MachineKind| machine.modes().into_iter().map(|mode| mode.name()).collect::<Vec<_>>();
    /// assert_eq!(names(MachineKind::Bare), ["bare"]);
    /// assert_eq!(names(MachineKind::R0vm), ["user", "machine"]);
    /// ```
    pub fn modes(self) -> Vec<Mode> {
        let (names, rules): (&[&'static str], _) = match self {
            MachineKind::Bare => (&["bare"], Bare::RULES),
            MachineKind::R0vm => (&["user", "machine"], R0vm::RULES),
        };
        names.iter().zip(rules).map(|(&name, rules)| Mode::new(name, rules)).collect()
    }
}
