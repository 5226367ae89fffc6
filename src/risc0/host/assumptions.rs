//! Claims that a guest takes for granted, and which of them it used. It must not know how claims are proven.

use std::collections::{HashMap, VecDeque};

use super::quota::Quota;
use super::{Digest, HostError};

const ZERO: Digest = [0; 32];

/// A claim that a guest may take for granted, because the caller has a receipt for it or will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Assumption {
    /// Digest of the claim.
    pub claim: Digest,
    /// Root of the control ids that its receipt is verified under; none if the receipt has no such root (it is neither
    /// succinct nor an unresolved assumption). A guest that names a root is only content with that one.
    pub control_root: Option<Digest>,
}

/// An assumption that a guest used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AssumptionUse {
    /// Digest of the claim.
    pub claim: Digest,
    /// The control root as the guest named it, zero for any.
    pub control_root: Digest,
    /// The assumption that answered it, counted from 0 in the order they were added, the guest's own behind the
    /// caller's.
    pub assumption: usize,
}

/// All assumptions of a host.
#[derive(Default)]
pub(super) struct Assumptions {
    /// How many are known.
    known: usize,
    /// The first of each claim, under any root; and of each claim and root. A guest may make millions of its own, and ask
    /// for one as often.
    of_claim: HashMap<Digest, usize>,
    of_root: HashMap<(Digest, Digest), usize>,
    /// The last one used first: the order in which they enter a claim's output.
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

    /// The guest uses an assumption that must be known.
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

    /// The guest makes an assumption of its own, which is known from now on.
    pub(super) fn assume(&mut self, quota: &mut Quota, claim: Digest, control_root: Digest) -> Result<(), HostError> {
        // Both indices, at twice their size, since they grow by doubling.
        let kept_bytes = 2 * (size_of::<(Digest, usize)>() + size_of::<(Digest, Digest, usize)>());
        quota.take((size_of::<AssumptionUse>() + kept_bytes) as u64)?;
        let assumption = self.known;
        self.add(Assumption { claim, control_root: Some(control_root) });
        self.used.push_front(AssumptionUse { claim, control_root, assumption });
        Ok(())
    }

    /// What was used since this was last asked, the last one first.
    pub(super) fn take_used(&mut self, quota: &mut Quota) -> Vec<AssumptionUse> {
        quota.give((self.used.len() * size_of::<AssumptionUse>()) as u64);
        std::mem::take(&mut self.used).into()
    }
}
