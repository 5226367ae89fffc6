//! Stands in for the JIT in a build without it: types of which no value exists, so that the engine has one shape.

use std::sync::Arc;

use tachy_runtime::HartState;

use crate::interpreter::{DecodedPages, Held, Profile, Tier};
use crate::stats::Stats;
use crate::trace::Level;

/// Compiled code, which does not exist.
#[derive(Clone, Copy)]
pub(crate) enum Caches {}

impl Caches {
    pub(crate) fn for_child(&self) -> Caches {
        match *self {}
    }

    pub(crate) fn profile(&self) -> Option<Arc<Profile>> {
        match *self {}
    }

    pub(crate) fn threshold(&self) -> u16 {
        match *self {}
    }
}

/// What the sessions of an executor share, which does not exist.
pub(crate) enum SharedCaches {}

impl SharedCaches {
    pub(crate) fn new(caches: Caches) -> SharedCaches {
        match caches {}
    }

    pub(crate) fn get(&self) -> Arc<Caches> {
        match *self {}
    }
}

/// A session's view of compiled code, which does not exist.
pub(crate) enum SessionCode {}

impl SessionCode {
    pub(crate) fn new(caches: Arc<Caches>, _: Level, _: &mut HartState<'_>, _: &DecodedPages) -> SessionCode {
        match *caches {}
    }

    pub(crate) fn for_child(&self, _: Arc<Caches>, _: &mut HartState<'_>, _: &DecodedPages) -> SessionCode {
        match *self {}
    }

    pub(crate) fn set_level(&mut self, _: Level) {
        match *self {}
    }

    pub(crate) fn set_mode(&mut self, _: usize) {
        match *self {}
    }

    pub(crate) fn arrived(&mut self, _: &mut DecodedPages, _: u32) {
        match *self {}
    }

    pub(crate) fn set_machine_work(&mut self, _: u64) {
        match *self {}
    }

    pub(crate) fn rests(&mut self, _: u64) -> bool {
        match *self {}
    }

    pub(crate) fn prepare(&mut self, _: &mut HartState<'_>, _: &mut DecodedPages) -> bool {
        match *self {}
    }

    pub(crate) fn took_a_while(&mut self) -> bool {
        match *self {}
    }

    pub(crate) fn report(&self, _: &mut Stats) {
        match *self {}
    }
}

impl Tier for SessionCode {
    fn block_entered(&mut self, _: &mut DecodedPages, _: Held, _: u32) -> bool {
        match *self {}
    }

    fn jumped(&mut self, _: u32, _: u32) {
        match *self {}
    }

    fn code_written(&mut self, _: &mut DecodedPages, _: u32) {
        match *self {}
    }
}

/// Native code that is not looked for, which does not exist either.
pub(crate) struct Resting<'a>(pub(crate) &'a mut SessionCode);

impl Tier for Resting<'_> {
    fn block_entered(&mut self, _: &mut DecodedPages, _: Held, _: u32) -> bool {
        match *self.0 {}
    }

    fn jumped(&mut self, _: u32, _: u32) {
        match *self.0 {}
    }

    fn code_written(&mut self, _: &mut DecodedPages, _: u32) {
        match *self.0 {}
    }
}

/// Transitions between regions, of which there are none to count.
pub(crate) struct RegionTransitions;

impl RegionTransitions {
    pub(crate) fn new(_: u32) -> RegionTransitions {
        RegionTransitions
    }
}
