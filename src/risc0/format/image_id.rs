//! The id that names a program by what memory holds before its first step.

use super::digest::{Digest, tagged_struct};
use super::image::Image;
use super::tree::Tree;
use crate::program::Program;

/// The id of a memory with this root, and a pc that is always 0.
pub(crate) fn image_id(root: Digest) -> Digest {
    tagged_struct("risc0.SystemState", &[root], &[0])
}

impl Image {
    /// The digest that names a program with this image: of its Merkle root, and of a pc that is always 0, which what
    /// runs first in R0VM does not depend on.
    pub fn id(&self) -> Digest {
        image_id(Tree::of(self).root())
    }
}

impl Program {
    /// The image id that RISC Zero names the program by; `None` if it was not loaded as one for R0VM.
    ///
    /// Hashes every page that is not zero, 6 us each with AVX-512: keep the result.
    pub fn image_id(&self) -> Option<Digest> {
        self.user_entry().map(|_| Image::of(self).id())
    }
}
