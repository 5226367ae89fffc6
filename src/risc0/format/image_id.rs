//! The id that identifies a program by the contents of memory before its first step. It must not know how roots are
//! hashed.

use super::digest::{Digest, tagged_struct};
use super::image::Image;
use super::initial_tree::initial_tree;
use super::tree::Tree;
use crate::program::Program;

/// Returns the id of a memory with this root, and a pc that is always 0.
pub(crate) fn image_id(root: Digest) -> Digest {
    tagged_struct("risc0.SystemState", &[root], &[0])
}

impl Image {
    /// Returns the digest that identifies a program with this image. It covers the Merkle root and a pc that is always
    /// 0; R0VM's actual start does not depend on that pc.
    pub fn id(&self) -> Digest {
        image_id(Tree::of(self).root())
    }
}

impl Program {
    /// Returns the image id by which RISC Zero identifies the program; `None` if the program was not loaded for R0VM.
    ///
    /// The first call hashes every nonzero page, at 6 us each with AVX-512, unless a session with segments has begun on
    /// this program or a clone. Later calls find the hashes.
    pub fn image_id(&self) -> Option<Digest> {
        self.user_entry().map(|_| image_id(initial_tree(self).root()))
    }
}
