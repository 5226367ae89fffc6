//! What a hart has in common with other sessions and the threads that translate for them: decoded pages, which leave to
//! later sessions what they found, and native code.
//!
//! All of it belongs to the process that made it. In a child of a fork nobody knows what those threads were just
//! changing, so a session that finds itself in one leaves it alone and begins with something new; the hart goes on where
//! it is. It must not know when that is looked at.

use std::sync::Arc;

use tachy_runtime::{HartState, ProcessLocal};

use super::{Ended, Hart};
use crate::interpreter::DecodedPages;
use crate::jit::{Caches, SessionCode};
use crate::machine::{Machine, Surroundings};
use crate::trace::Level;

/// See the module.
pub(super) struct Shared {
    pub(super) pages: DecodedPages,
    pub(super) native: Option<SessionCode>,
    /// Compiled code, or none: the interpreter alone.
    caches: Option<Arc<Caches>>,
}

impl Shared {
    /// Of a hart that has done nothing yet.
    pub(super) fn new<M: Machine>(caches: Option<Arc<Caches>>, vm: &mut HartState<'_>) -> Shared {
        let pages = decoded_pages::<M>(caches.as_deref());
        let native = caches.clone().map(|caches| SessionCode::new(caches, Level::Off, vm, &pages));
        Shared { pages, native, caches }
    }

    /// The same for this process, with nothing decoded or translated. Waits for nobody.
    pub(super) fn for_child<M: Machine>(&self, vm: &mut HartState<'_>) -> Shared {
        let caches = self.caches.as_ref().map(|caches| Arc::new(caches.for_child()));
        let pages = decoded_pages::<M>(caches.as_deref());
        let native =
            self.native.as_ref().zip(caches.clone()).map(|(native, caches)| native.for_child(caches, vm, &pages));
        Shared { pages, native, caches }
    }
}

impl<M: Machine> Hart<'_, M> {
    /// Goes on in a child of a fork, if this has become one: without the parent's code and threads. Where the session needs
    /// one of them, the run ends.
    pub(super) fn enter_child(&mut self) -> Option<Ended> {
        if !self.shared.is_foreign() {
            return None;
        }
        self.renew_in_child();
        self.context.surroundings.enter_child().err().map(Ended::Refused)
    }

    /// In a child of a fork, begins with code of this process's own.
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
