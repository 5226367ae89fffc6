//! Serves proofs in dev mode: an execution, and a receipt that proves nothing. This file must not know how a program
//! runs.

use prost::Message;

use crate::Settings;
use crate::callbacks::{Callbacks, callback};
use crate::claims::Malformed;
use crate::execute::{Ended, execute_unsaid, put};
use crate::protocol::api::{AssetRequest, CallbackKind, OnProveDone, ProveRequest, ServerReply};
use crate::protocol::base::CompatVersion;
use crate::protocol::core::{
    ClaimOnly, InnerReceipt, InnerReceiptKind, MaybePruned, ProveInfo, Receipt, ReceiptMetadata, SessionStats, Work,
    WorkClaim,
};
use tachy::risc0::{Digest, PovwJob, PovwNonce, Report};

/// The format of receipts in RISC Zero 3.0.
const RECEIPT_VERSION: u32 = 1;

const WARNING: &str =
    "WARNING: dev mode is on, so the receipt proves nothing. Never accept such receipts in production.";

/// Serves a request to prove in dev mode.
///
/// # Errors
/// Returns the text for the host.
pub(crate) fn prove_in_dev_mode(
    callbacks: &Callbacks,
    request: ProveRequest,
    settings: &Settings,
) -> Result<ServerReply, String> {
    let env = request.env.ok_or_else(|| Malformed("ProveRequest.env").to_string())?;
    let ended = execute_unsaid(callbacks, env, settings)?;
    settings.say(WARNING);
    let AssetRequest { kind } = request.receipt_out.ok_or_else(|| Malformed("ProveRequest.receipt_out").to_string())?;
    let target = kind.ok_or_else(|| Malformed("AssetRequest.kind").to_string())?;
    let prove_info = Some(put(&target, prove_info(ended).encode_to_vec(), "prove_info.zkp")?);
    Ok(callback(CallbackKind::ProveDone(OnProveDone { prove_info })))
}

fn prove_info(ended: Ended) -> ProveInfo {
    let Ended { report, claim, .. } = ended;
    let stats = SessionStats {
        segments: report.segments,
        total_cycles: report.total_cycles,
        user_cycles: report.user_cycles,
        paging_cycles: report.paging_cycles,
        reserved_cycles: report.reserved_cycles,
    };
    let claim = MaybePruned::value(&claim);
    let work_receipt = report.povw.map(|job| {
        let work = MaybePruned::value(&work(job, &report));
        fake(MaybePruned::value(&WorkClaim { claim: claim.clone(), work }))
    });
    let receipt = Receipt {
        version: Some(CompatVersion { value: RECEIPT_VERSION }),
        inner: Some(fake(claim)),
        journal: report.journal.map(|journal| journal.bytes).unwrap_or_default(),
        metadata: Some(ReceiptMetadata { verifier_parameters: Some(Digest::ZERO.into()) }),
    };
    ProveInfo { receipt: Some(receipt), stats: Some(stats), work_receipt }
}

fn fake(claim: Option<MaybePruned>) -> InnerReceipt {
    InnerReceipt { kind: Some(InnerReceiptKind::Fake(ClaimOnly { claim })) }
}

fn work(job: PovwJob, report: &Report) -> Work {
    Work {
        nonce_min: nonce_bytes(job.nonce(0)),
        nonce_max: nonce_bytes(job.nonce(report.segments as u32)),
        value: report.total_cycles,
    }
}

/// Returns a nonce as a number of 256 bits, little-endian: segment, job, work log.
fn nonce_bytes(nonce: PovwNonce) -> Vec<u8> {
    let mut bytes = nonce.segment.to_le_bytes().to_vec();
    bytes.extend(nonce.job.to_le_bytes());
    bytes.extend(nonce.log.iter().rev());
    bytes
}
