//! What a hart shares with other sessions and the compiler threads: native code, and decoded pages, which pass their
//! profile on to later sessions.
//!
//! All of it belongs to the process that made it. A fork may interrupt those threads in the middle of a change, so a
//! child cannot trust the state. A session that finds itself in a child therefore leaves it alone and starts with a new
//! one; the hart continues where it is. This file must not know when that is checked.

use std::sync::Arc;

use tachy_runtime::{HartState, ProcessLocal};

use super::{Ended, Hart};
use crate::interpreter::DecodedPages;
use crate::jit::{Caches, SessionCode};
use crate::machine::{Machine, Surroundings};
use crate::trace::Level;

/// The shared parts of a hart; see the module.
pub(super) struct Shared {
    pub(super) pages: DecodedPages,
    pub(super) native: Option<SessionCode>,
    /// Compiled code; `None` for the interpreter alone.
    caches: Option<Arc<Caches>>,
}

impl Shared {
    /// Creates the shared parts of a hart that has done nothing yet.
    pub(super) fn new<M: Machine>(caches: Option<Arc<Caches>>, vm: &mut HartState<'_>) -> Shared {
        let pages = decoded_pages::<M>(caches.as_deref());
        let native = caches.clone().map(|caches| SessionCode::new(caches, Level::Off, vm, &pages));
        Shared { pages, native, caches }
    }

    /// Creates the same for this process, with nothing decoded or compiled. It does not block.
    pub(super) fn for_child<M: Machine>(&self, vm: &mut HartState<'_>) -> Shared {
        let caches = self.caches.as_ref().map(|caches| Arc::new(caches.for_child()));
        let pages = decoded_pages::<M>(caches.as_deref());
        let native =
            self.native.as_ref().zip(caches.clone()).map(|(native, caches)| native.for_child(caches, vm, &pages));
        Shared { pages, native, caches }
    }
}

impl<M: Machine> Hart<'_, M> {
    /// Continues in a child of a fork, if this process is one, without the parent's code and threads. If the session
    /// needs one of them, the run ends.
    pub(super) fn enter_child(&mut self) -> Option<Ended> {
        if !self.shared.is_foreign() {
            return None;
        }
        self.renew_in_child();
        self.context.surroundings.enter_child().err().map(Ended::Refused)
    }

    /// Starts with code of this process's own if it is a child of a fork.
    pub(super) fn renew_in_child(&mut self) {
        if self.shared.is_foreign() {
            self.shared = ProcessLocal::new(self.shared.for_child::<M>(&mut self.vm.state()));
        }
    }
}

fn decoded_pages<M: Machine>(caches: Option<&Caches>) -> DecodedPages {
    let profile = caches.and_then(Caches::profile);
    DecodedPages::new(M::VARIANT, M::RULES, profile, caches.map_or(0, Caches::threshold))
}
