//! Writes and reads nested structures in three formats: borsh, postcard, and RISC Zero's own words.
//!
//! Input: u32 count of orders, u32 count of rounds. Each round changes the orders. Journal: the digest of all octets
//! that were written, and the size of the last orders in each format.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use r0vm_programs::next;
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Digest, Impl, Sha256};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
struct Order {
    number: u64,
    customer: Customer,
    lines: Vec<Line>,
    notes: BTreeMap<String, Option<String>>,
    total: u128,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
struct Customer {
    name: String,
    address: Address,
    is_new: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
struct Address {
    street: String,
    place: (u32, i16),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
struct Line {
    item: Item,
    count: u16,
    price: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
enum Item {
    Gift,
    Book { title: String, pages: u32 },
    Key([u8; 16]),
    Box(Vec<Item>),
}

fn text(state: &mut u32) -> String {
    let length = next(state) % 20;
    (0..length).map(|_| char::from(b'a' + (next(state) % 26) as u8)).collect()
}

/// Makes an item; only boxes above `depth` 0 have something inside.
fn item(state: &mut u32, depth: u32) -> Item {
    match next(state) % 4 {
        0 => Item::Gift,
        1 => Item::Book { title: text(state), pages: next(state) },
        2 => Item::Key(std::array::from_fn(|_| next(state) as u8)),
        _ if depth == 0 => Item::Box(Vec::new()),
        _ => Item::Box((0..next(state) % 3).map(|_| item(state, depth - 1)).collect()),
    }
}

fn order(state: &mut u32, number: u32) -> Order {
    let line = |state: &mut u32| Line {
        item: item(state, 3),
        count: next(state) as u16,
        price: u64::from(next(state)) << (next(state) % 40),
    };
    let lines: Vec<Line> = (0..next(state) % 6).map(|_| line(state)).collect();
    let address = Address { street: text(state), place: (next(state), next(state) as i16) };
    let note = |state: &mut u32| (text(state), (next(state) % 2 == 0).then(|| text(state)));
    Order {
        number: u64::from(number) << 20,
        customer: Customer { name: text(state), address, is_new: next(state) % 2 == 0 },
        notes: (0..next(state) % 4).map(|_| note(state)).collect(),
        total: lines.iter().map(|line| u128::from(line.price) * u128::from(line.count)).sum(),
        lines,
    }
}

fn main() {
    let count: u32 = env::read();
    let rounds: u32 = env::read();
    let mut state = 1;
    let mut orders: Vec<Order> = (0..count).map(|number| order(&mut state, number)).collect();
    let (mut all, mut sizes) = (Digest::ZERO, [0; 3]);
    for round in 0..rounds {
        let by_borsh = borsh::to_vec(&orders).expect("borsh writes all of it");
        let by_postcard = postcard::to_allocvec(&orders).expect("postcard writes all of it");
        let by_words = risc0_zkvm::serde::to_vec(&orders).expect("RISC Zero's format writes all of it");
        let digests = [Impl::hash_bytes(&by_borsh), Impl::hash_bytes(&by_postcard), Impl::hash_words(&by_words)];
        for digest in digests {
            all = *Impl::hash_pair(&all, digest);
        }
        sizes = [by_borsh.len(), by_postcard.len(), 4 * by_words.len()].map(|size| size as u32);
        let read: Vec<Order> = borsh::from_slice(&by_borsh).expect("what borsh wrote");
        assert_eq!(read, orders);
        let read: Vec<Order> = postcard::from_bytes(&by_postcard).expect("what postcard wrote");
        assert_eq!(read, orders);
        let read: Vec<Order> = risc0_zkvm::serde::from_slice(&by_words).expect("what RISC Zero's format wrote");
        assert_eq!(read, orders);
        // Bytes that end early must be refused.
        assert!(borsh::from_slice::<Vec<Order>>(&by_borsh[..by_borsh.len() - 1]).is_err());
        assert!(postcard::from_bytes::<Vec<Order>>(&by_postcard[..by_postcard.len() - 1]).is_err());
        orders = read;
        let changed = round as usize % orders.len();
        orders[changed] = order(&mut state, count + round);
    }
    env::commit_slice(all.as_bytes());
    env::commit_slice(&sizes);
}
