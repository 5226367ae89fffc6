//! Claims that a guest assumes, and the ones that it used. This file must not know how claims are proven.

use std::collections::{HashMap, VecDeque};

use super::quota::Quota;
use super::{Digest, HostError};

const ZERO: Digest = [0; 32];

/// A claim that a guest may assume, because the caller has a receipt for it or will get one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Assumption {
    /// Digest of the claim.
    pub claim: Digest,
    /// Root of the control ids that its receipt is verified under. `None` if the receipt has no such root (it is
    /// neither succinct nor an unresolved assumption). A guest that names a root accepts only that one.
    pub control_root: Option<Digest>,
}

/// An assumption that a guest used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AssumptionUse {
    /// Digest of the claim.
    pub claim: Digest,
    /// The control root that the guest named; zero for any.
    pub control_root: Digest,
    /// Index of the assumption that answered it, from 0 in order of addition. The caller's assumptions precede the
    /// guest's own.
    pub assumption: usize,
}

/// All assumptions of a host.
#[derive(Default)]
pub(super) struct Assumptions {
    /// Number of known assumptions.
    known: usize,
    /// Index of the first assumption for each claim under any root, and for each claim and root. Maps, because a guest
    /// may make millions of assumptions and request one as often.
    of_claim: HashMap<Digest, usize>,
    of_root: HashMap<(Digest, Digest), usize>,
    /// Last used first: the order in which they enter a claim's output.
    used: VecDeque<AssumptionUse>,
}

impl Assumptions {
    pub(super) fn add(&mut self, assumption: Assumption) {
        let Assumption { claim, control_root } = assumption;
        self.of_claim.entry(claim).or_insert(self.known);
        if let Some(root) = control_root {
            self.of_root.entry((claim, root)).or_insert(self.known);
        }
        self.known += 1;
    }

    /// Records that the guest uses an assumption, which must be known.
    pub(super) fn resolve(&mut self, quota: &mut Quota, claim: Digest, control_root: Digest) -> Result<(), HostError> {
        let found = match control_root {
            ZERO => self.of_claim.get(&claim),
            root => self.of_root.get(&(claim, root)),
        };
        let &assumption = found.ok_or(HostError::NoAssumption { claim, control_root })?;
        quota.take(size_of::<AssumptionUse>() as u64)?;
        self.used.push_front(AssumptionUse { claim, control_root, assumption });
        Ok(())
    }

    /// Adds an assumption of the guest's own.
    pub(super) fn assume(&mut self, quota: &mut Quota, claim: Digest, control_root: Digest) -> Result<(), HostError> {
        // Both indices count at twice their size, because they grow by doubling.
        let kept_bytes = 2 * (size_of::<(Digest, usize)>() + size_of::<(Digest, Digest, usize)>());
        quota.take((size_of::<AssumptionUse>() + kept_bytes) as u64)?;
        let assumption = self.known;
        self.add(Assumption { claim, control_root: Some(control_root) });
        self.used.push_front(AssumptionUse { claim, control_root, assumption });
        Ok(())
    }

    /// Returns and removes the assumptions used since the last call, last used first.
    pub(super) fn take_used(&mut self, quota: &mut Quota) -> Vec<AssumptionUse> {
        quota.give((self.used.len() * size_of::<AssumptionUse>()) as u64);
        std::mem::take(&mut self.used).into()
    }
}
