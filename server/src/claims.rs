//! Claims as messages: what a session's receipt states, and the digest of a claim that a host has a receipt for.
//!
//! This file must not know how a program runs or how claims are proven.

use prost::Message;
use tachy::risc0::{Digest, tagged_struct};

use crate::protocol::base::ExitCode;
use crate::protocol::core::{self, MaybePruned, MaybePrunedKind};

/// A claim that a guest assumes, and the root that its proof must have; zero for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Assumed {
    pub(crate) claim: Digest,
    pub(crate) control_root: Digest,
}

/// The result of a session, as its claim needs it.
pub(crate) struct SessionClaim<'a> {
    /// Root of memory before the first segment.
    pub(crate) pre_root: Digest,
    /// Root of memory after the last one; zero after a halt.
    pub(crate) post_root: Digest,
    pub(crate) exit_code: ExitCode,
    /// The journal, if the guest committed to one.
    pub(crate) journal: Option<&'a [u8]>,
    /// Assumptions without a receipt, last one first.
    pub(crate) unresolved: Vec<Assumed>,
}

impl MaybePruned {
    /// Keeps a whole value.
    pub(crate) fn value(value: &impl Message) -> Option<MaybePruned> {
        Some(MaybePruned { kind: Some(MaybePrunedKind::Value(value.encode_to_vec())) })
    }

    /// Keeps a digest.
    pub(crate) fn pruned(digest: Digest) -> Option<MaybePruned> {
        Some(MaybePruned { kind: Some(MaybePrunedKind::Pruned(digest.into())) })
    }
}

impl SessionClaim<'_> {
    /// Returns the message.
    pub(crate) fn message(&self) -> core::ReceiptClaim {
        let state = |root: Digest| MaybePruned::value(&core::SystemState { pc: 0, merkle_root: Some(root.into()) });
        let output = self.journal.and_then(|journal| MaybePruned::value(&output(journal, &self.unresolved)));
        core::ReceiptClaim {
            pre: state(self.pre_root),
            post: state(self.post_root),
            exit_code: Some(self.exit_code.clone()),
            // The protocol carries no input.
            input: MaybePruned::pruned(Digest::ZERO),
            output,
        }
    }
}

/// Returns the message of an output.
fn output(journal: &[u8], assumptions: &[Assumed]) -> core::Output {
    let assumption = |assumed: &Assumed| core::Assumption {
        claim: Some(assumed.claim.into()),
        control_root: Some(assumed.control_root.into()),
    };
    let inner = assumptions.iter().filter_map(|assumed| MaybePruned::value(&assumption(assumed))).collect();
    core::Output {
        journal: MaybePruned::value(&core::Bytes { value: journal.to_vec() }),
        assumptions: MaybePruned::value(&core::Assumptions { inner }),
    }
}

/// A message without something that it must have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Malformed error: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Why a message is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadClaim {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Decode(#[from] prost::DecodeError),
}

/// Returns the digest of a value that may be pruned, where `digest` computes that of a whole one.
fn digest_of<T: Message + Default>(
    pruned: Option<&MaybePruned>,
    name: &'static str,
    digest: impl FnOnce(&T) -> Result<Digest, BadClaim>,
) -> Result<Digest, BadClaim> {
    match pruned.and_then(|pruned| pruned.kind.as_ref()).ok_or(Malformed(name))? {
        MaybePrunedKind::Value(bytes) => digest(&T::decode(bytes.as_slice())?),
        MaybePrunedKind::Pruned(digest) => Ok(digest.digest().ok_or(Malformed("Digest.words"))?),
    }
}

impl core::ReceiptClaim {
    /// Returns the digest that identifies the claim.
    pub(crate) fn digest(&self) -> Result<Digest, BadClaim> {
        let output = self.output.as_ref().map(|_| digest_of(self.output.as_ref(), "Output", core::Output::digest));
        self.digest_with(output.transpose()?.unwrap_or_default())
    }

    /// Returns the digest of the claim with another output.
    fn digest_with(&self, output: Digest) -> Result<Digest, BadClaim> {
        let state = |state, name| digest_of(state, name, core::SystemState::digest);
        let input = match &self.input {
            Some(input) => digest_of(Some(input), "Input", |(): &()| Err(Malformed("Input").into()))?,
            None => Digest::ZERO,
        };
        let exit_code = self.exit_code.as_ref().and_then(ExitCode::pair);
        let (system, user) = exit_code.ok_or(Malformed("ReceiptClaim.exit_code"))?;
        let pre = state(self.pre.as_ref(), "ReceiptClaim.pre")?;
        let post = state(self.post.as_ref(), "ReceiptClaim.post")?;
        Ok(tagged_struct("risc0.ReceiptClaim", &[input, pre, post, output], &[system, user]))
    }
}

impl core::SystemState {
    fn digest(&self) -> Result<Digest, BadClaim> {
        let root =
            self.merkle_root.as_ref().and_then(|root| root.digest()).ok_or(Malformed("SystemState.merkle_root"))?;
        Ok(tagged_struct("risc0.SystemState", &[root], &[self.pc]))
    }
}

impl core::Output {
    fn digest(&self) -> Result<Digest, BadClaim> {
        let assumptions = digest_of(self.assumptions.as_ref(), "Output.assumptions", core::Assumptions::digest)?;
        self.digest_with(assumptions)
    }

    fn digest_with(&self, assumptions: Digest) -> Result<Digest, BadClaim> {
        let bytes = |bytes: &core::Bytes| Ok(Digest::sha256(&bytes.value));
        let journal = digest_of(self.journal.as_ref(), "Output.journal", bytes)?;
        Ok(tagged_struct("risc0.Output", &[journal, assumptions], &[]))
    }
}

impl core::Assumptions {
    fn digest(&self) -> Result<Digest, BadClaim> {
        let mut list = Digest::ZERO;
        for assumption in self.inner.iter().rev() {
            let of = digest_of(Some(assumption), "Assumption", |assumption: &core::Assumption| {
                let Assumed { claim, control_root } = assumption.assumed()?;
                Ok(tagged_struct("risc0.Assumption", &[claim, control_root], &[]))
            })?;
            list = tagged_struct("risc0.Assumptions", &[of, list], &[]);
        }
        Ok(list)
    }
}

impl core::Assumption {
    /// Returns its content.
    pub(crate) fn assumed(&self) -> Result<Assumed, BadClaim> {
        let digest = |digest: &Option<crate::protocol::base::DigestMessage>| digest.as_ref()?.digest();
        let claim = digest(&self.claim).ok_or(Malformed("Assumption.claim"))?;
        let control_root = digest(&self.control_root).ok_or(Malformed("Assumption.control_root"))?;
        Ok(Assumed { claim, control_root })
    }
}

impl core::CompositeReceipt {
    /// Returns the digest of its claim: from the first segment to the last, without assumptions, because it has a
    /// receipt for each of them.
    pub(crate) fn claim_digest(&self) -> Result<Digest, BadClaim> {
        let claim = |segment: Option<&core::SegmentReceipt>| {
            segment.and_then(|segment| segment.claim.clone()).ok_or(Malformed("SegmentReceipt.claim"))
        };
        let (first, last) = (claim(self.segments.first())?, claim(self.segments.last())?);
        let output = match &last.output {
            None => Digest::ZERO,
            Some(output) => {
                digest_of(Some(output), "Output", |output: &core::Output| output.digest_with(Digest::ZERO))?
            }
        };
        core::ReceiptClaim { post: last.post, exit_code: last.exit_code, ..first }.digest_with(output)
    }
}

/// Returns the digest of a receipt's claim, where the claim may be a whole one.
pub(crate) fn claim_digest(claim: Option<&MaybePruned>) -> Result<Digest, BadClaim> {
    digest_of(claim, "MaybePruned<Claim>", core::ReceiptClaim::digest)
}
