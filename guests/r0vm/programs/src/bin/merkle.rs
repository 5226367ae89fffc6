//! Builds a Merkle tree with the accelerator for SHA-256, proves leaves against its root, and changes leaves.
//!
//! Input: u32 levels above the leaves, u32 count of changes. Journal: the first root and the last.

use r0vm_programs::next;
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Digest, Impl, Sha256};

/// A full tree: node 1 is the root, and node n has the children 2 n and 2 n + 1.
struct Tree {
    nodes: Vec<Digest>,
}

impl Tree {
    fn new(leaves: &[Digest]) -> Tree {
        let mut nodes = vec![Digest::ZERO; leaves.len()];
        nodes.extend_from_slice(leaves);
        let mut tree = Tree { nodes };
        for node in (1..leaves.len()).rev() {
            tree.hash(node);
        }
        tree
    }

    fn root(&self) -> Digest {
        self.nodes[1]
    }

    fn hash(&mut self, node: usize) {
        self.nodes[node] = *Impl::hash_pair(&self.nodes[2 * node], &self.nodes[2 * node + 1]);
    }

    /// Returns the siblings on the way from a leaf up to the root.
    fn proof(&self, leaf: usize) -> Vec<Digest> {
        let mut node = leaf + self.nodes.len() / 2;
        let mut siblings = Vec::new();
        while node > 1 {
            siblings.push(self.nodes[node ^ 1]);
            node /= 2;
        }
        siblings
    }

    fn change(&mut self, leaf: usize, digest: Digest) {
        let mut node = leaf + self.nodes.len() / 2;
        self.nodes[node] = digest;
        while node > 1 {
            node /= 2;
            self.hash(node);
        }
    }
}

/// Returns the root that a leaf and its siblings lead to.
fn climb(leaf: usize, digest: Digest, siblings: &[Digest]) -> Digest {
    siblings.iter().enumerate().fold(digest, |digest, (level, sibling)| match leaf >> level & 1 {
        0 => *Impl::hash_pair(&digest, sibling),
        _ => *Impl::hash_pair(sibling, &digest),
    })
}

fn main() {
    let levels: u32 = env::read();
    let changes: u32 = env::read();
    let count = 1usize << levels;
    let leaves: Vec<Digest> =
        (0..count).map(|leaf| *Impl::hash_bytes(format!("leaf {leaf} of {count}").as_bytes())).collect();
    let mut tree = Tree::new(&leaves);
    env::commit_slice(tree.root().as_bytes());
    let mut state = 1;
    for change in 0..changes {
        let leaf = next(&mut state) as usize % count;
        let digest = *Impl::hash_words(&[change, next(&mut state)]);
        let siblings = tree.proof(leaf);
        let before = tree.nodes[leaf + count];
        assert_eq!(climb(leaf, before, &siblings), tree.root());
        assert_ne!(climb(leaf, digest, &siblings), tree.root(), "another leaf has no proof");
        tree.change(leaf, digest);
        // The siblings are not on the way, so they prove the new leaf too.
        assert_eq!(climb(leaf, digest, &siblings), tree.root());
    }
    env::commit_slice(tree.root().as_bytes());
}
