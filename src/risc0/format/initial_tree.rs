//! The tree of a program's memory before the first step. Its pages are hashed once, however many sessions begin with
//! them. This file must not know how a tree is hashed.

use std::borrow::Cow;

use super::image::Image;
use super::tree::Tree;
use crate::program::Program;

/// Returns the tree, which stays with the program and its clones.
pub(crate) fn initial_tree(program: &Program) -> Cow<'_, Tree> {
    let hash = || Tree::of(&Image::of(program));
    program.derived(hash).map_or_else(|| Cow::Owned(hash()), Cow::Borrowed)
}
