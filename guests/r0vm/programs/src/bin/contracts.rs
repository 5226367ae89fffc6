//! An interpreter of contracts: a stack of 256-bit words from the crate `ruint`, memory, storage, gas, calls.
//!
//! Three contracts run in turn: a token whose transfers change two balances, a calculator of powers modulo a prime, and
//! one that calls the other two. Input: u32 count of calls. Each result is compared with plain Rust. Journal: a digest
//! of all storage, u64 gas, u32 calls that ran out of gas.

use std::collections::BTreeMap;

use r0vm_programs::next;
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Impl, Sha256};
use ruint::aliases::U256;

#[derive(Clone, Copy, Debug)]
enum Op {
    Push(u64),
    /// Copies the word that is so many below the top.
    Dup(usize),
    /// Exchanges the top with the word that is so many below it.
    Swap(usize),
    Add,
    Sub,
    Mul,
    /// The remainder of the second word by the top.
    Mod,
    /// The product of the second and third word modulo the top.
    MulMod,
    Less,
    IsZero,
    And,
    ShiftRight,
    Load,
    Store,
    StorageLoad,
    StorageStore,
    /// The digest of the two topmost words.
    Hash,
    Input(usize),
    Label(u32),
    Jump(u32),
    /// Takes the top, and jumps if it is not zero.
    JumpIf(u32),
    /// Calls a contract with the two topmost words as input and leaves its result.
    Call(usize),
    Return,
    Revert,
}

#[derive(Debug, PartialEq)]
enum Failure {
    OutOfGas,
    Reverted,
    Stack,
}

/// A contract's code with the places of its labels.
struct Contract {
    code: Vec<Op>,
    labels: BTreeMap<u32, usize>,
}

impl Contract {
    fn new(code: Vec<Op>) -> Contract {
        let labels = code.iter().enumerate().filter_map(|(at, op)| match op {
            Op::Label(label) => Some((*label, at)),
            _ => None,
        });
        Contract { labels: labels.collect(), code }
    }
}

/// The contracts with their storage.
struct World {
    contracts: Vec<Contract>,
    storage: Vec<BTreeMap<U256, U256>>,
    gas: u64,
}

fn pop(stack: &mut Vec<U256>) -> Result<U256, Failure> {
    stack.pop().ok_or(Failure::Stack)
}

fn hash(left: U256, right: U256) -> U256 {
    let octets = [left.to_be_bytes::<32>(), right.to_be_bytes::<32>()].concat();
    U256::from_be_slice(Impl::hash_bytes(&octets).as_bytes())
}

impl World {
    /// Runs a contract as a whole or not at all: a failure restores all storage.
    fn transact(&mut self, contract: usize, input: [U256; 2], gas: u64) -> Result<U256, Failure> {
        let before = self.storage.clone();
        self.gas = gas;
        let result = self.call(contract, input);
        if result.is_err() {
            self.storage = before;
        }
        result
    }

    fn call(&mut self, contract: usize, input: [U256; 2]) -> Result<U256, Failure> {
        let (mut stack, mut memory, mut at) = (Vec::with_capacity(32), vec![U256::ZERO; 16], 0);
        loop {
            let op = self.contracts[contract].code[at];
            at += 1;
            let cost = match op {
                Op::StorageLoad => 50,
                Op::StorageStore => 200,
                Op::Hash => 30,
                Op::Call(_) => 100,
                Op::Mod | Op::MulMod => 8,
                _ => 2,
            };
            self.gas = self.gas.checked_sub(cost).ok_or(Failure::OutOfGas)?;
            match op {
                Op::Push(value) => stack.push(U256::from(value)),
                Op::Dup(below) => {
                    let place = stack.len().checked_sub(below + 1).ok_or(Failure::Stack)?;
                    stack.push(stack[place]);
                }
                Op::Swap(below) => {
                    let place = stack.len().checked_sub(below + 1).ok_or(Failure::Stack)?;
                    let top = stack.len() - 1;
                    stack.swap(place, top);
                }
                Op::Add | Op::Sub | Op::Mul | Op::Mod | Op::Less | Op::And | Op::ShiftRight | Op::Hash => {
                    let (top, second) = (pop(&mut stack)?, pop(&mut stack)?);
                    stack.push(match op {
                        Op::Add => second.wrapping_add(top),
                        Op::Sub => second.wrapping_sub(top),
                        Op::Mul => second.wrapping_mul(top),
                        Op::Mod => second.checked_rem(top).unwrap_or_default(),
                        Op::Less => U256::from(second < top),
                        Op::And => second & top,
                        Op::ShiftRight => second >> top,
                        _ => hash(second, top),
                    });
                }
                Op::MulMod => {
                    let (modulus, right, left) = (pop(&mut stack)?, pop(&mut stack)?, pop(&mut stack)?);
                    stack.push(left.mul_mod(right, modulus));
                }
                Op::IsZero => {
                    let top = pop(&mut stack)?;
                    stack.push(U256::from(top.is_zero()));
                }
                Op::Load => {
                    let place = pop(&mut stack)?.to::<usize>();
                    stack.push(memory[place]);
                }
                Op::Store => {
                    let (place, value) = (pop(&mut stack)?.to::<usize>(), pop(&mut stack)?);
                    memory[place] = value;
                }
                Op::StorageLoad => {
                    let slot = pop(&mut stack)?;
                    stack.push(self.storage[contract].get(&slot).copied().unwrap_or_default());
                }
                Op::StorageStore => {
                    let (slot, value) = (pop(&mut stack)?, pop(&mut stack)?);
                    self.storage[contract].insert(slot, value);
                }
                Op::Input(word) => stack.push(input[word]),
                Op::Label(_) => {}
                Op::Jump(label) => at = self.contracts[contract].labels[&label],
                Op::JumpIf(label) => {
                    if !pop(&mut stack)?.is_zero() {
                        at = self.contracts[contract].labels[&label];
                    }
                }
                Op::Call(callee) => {
                    let (second, first) = (pop(&mut stack)?, pop(&mut stack)?);
                    let result = self.call(callee, [first, second])?;
                    stack.push(result);
                }
                Op::Return => return pop(&mut stack),
                Op::Revert => return Err(Failure::Reverted),
            }
        }
    }
}

const TOKEN: usize = 0;
const POWER: usize = 1;
const CALLER: usize = 2;

const HOLDERS: u64 = 16;
const START: u64 = 1_000;

/// Moves input 1 from holder `input 0 >> 8` to holder `input 0 & 255`, and returns the receiver's balance. It reverts if
/// the sender has less. Storage has each balance less [`START`], which therefore is the balance of a new holder.
fn token() -> Contract {
    use Op::*;
    // Slots are hashes of the holder's number, as those of a mapping are.
    let slot = [Push(0), Hash];
    let mut code = vec![Input(0), Push(8), ShiftRight];
    code.extend(slot);
    code.extend([Dup(0), StorageLoad, Push(START), Add]);
    // sender's slot, sender's balance
    code.extend([Dup(0), Input(1), Less, IsZero, JumpIf(1), Revert, Label(1)]);
    code.extend([Input(1), Sub, Push(START), Sub, Swap(1), StorageStore]);
    code.extend([Input(0), Push(255), And]);
    code.extend(slot);
    code.extend([Dup(0), StorageLoad, Push(START), Add, Input(1), Add]);
    // receiver's slot, receiver's balance
    code.extend([Dup(0), Push(START), Sub, Dup(2), StorageStore, Return]);
    Contract::new(code)
}

/// The prime 2^61 - 1.
const PRIME: u64 = (1 << 61) - 1;

/// Raises input 0 to the power of input 1 modulo [`PRIME`]. Memory: 0 the result, 1 the base, 2 the exponent.
fn power() -> Contract {
    use Op::*;
    Contract::new(vec![
        Push(1),
        Push(0),
        Store,
        Input(0),
        Push(PRIME),
        Mod,
        Push(1),
        Store,
        Input(1),
        Push(2),
        Store,
        Label(1),
        Push(2),
        Load,
        IsZero,
        JumpIf(3),
        Push(2),
        Load,
        Push(1),
        And,
        IsZero,
        JumpIf(2),
        Push(0),
        Load,
        Push(1),
        Load,
        Push(PRIME),
        MulMod,
        Push(0),
        Store,
        Label(2),
        Push(1),
        Load,
        Dup(0),
        Mul,
        Push(PRIME),
        Mod,
        Push(1),
        Store,
        Push(2),
        Load,
        Push(1),
        ShiftRight,
        Push(2),
        Store,
        Jump(1),
        Label(3),
        Push(0),
        Load,
        Return,
    ])
}

/// Transfers, then raises the receiver's balance to the power of the amount, and keeps the sum of all results in slot 0.
fn caller() -> Contract {
    use Op::*;
    Contract::new(vec![
        Input(0),
        Input(1),
        Call(TOKEN),
        Input(1),
        Call(POWER),
        Push(0),
        StorageLoad,
        Add,
        Dup(0),
        Push(0),
        StorageStore,
        Return,
    ])
}

/// The contracts' results, computed in plain Rust.
struct Model {
    balances: [u64; HOLDERS as usize],
    sum: u128,
}

impl Model {
    fn transfer(&mut self, from: usize, to: usize, amount: u64) -> Option<u128> {
        self.balances[from] = self.balances[from].checked_sub(amount)?;
        self.balances[to] += amount;
        Some(self.balances[to].into())
    }

    fn power(base: u128, exponent: u64) -> u128 {
        let product = |left, right| left * right % u128::from(PRIME);
        let (mut result, mut base) = (1, base % u128::from(PRIME));
        for bit in 0..64 - exponent.leading_zeros() {
            if exponent >> bit & 1 == 1 {
                result = product(result, base);
            }
            base = product(base, base);
        }
        result
    }
}

fn main() {
    let calls: u32 = env::read();
    let mut world = World { contracts: vec![token(), power(), caller()], storage: vec![BTreeMap::new(); 3], gas: 0 };
    let mut model = Model { balances: [START; HOLDERS as usize], sum: 0 };
    let (mut random, mut gas, mut ran_out) = (1, 0u64, 0u32);
    const LIMIT: u64 = 10_000;
    for number in 0..calls {
        let (from, to) = (next(&mut random) as usize % HOLDERS as usize, next(&mut random) as usize % HOLDERS as usize);
        let amount = u64::from(next(&mut random) % 600);
        let holders = U256::from(from << 8 | to);
        let (contract, input, limit) = match number % 4 {
            0 => (TOKEN, [holders, U256::from(amount)], LIMIT),
            1 => (POWER, [U256::from(next(&mut random)), U256::from(amount)], LIMIT),
            2 => (CALLER, [holders, U256::from(amount)], LIMIT),
            // Enough for the transfer, but not for the rest.
            _ => (CALLER, [holders, U256::from(amount)], 900),
        };
        let result = world.transact(contract, input, limit);
        let expected = match number % 4 {
            0 => model.transfer(from, to, amount).ok_or(Failure::Reverted),
            1 => Ok(Model::power(input[0].to(), amount)),
            2 => match model.transfer(from, to, amount) {
                Some(balance) => {
                    model.sum += Model::power(balance, amount);
                    Ok(model.sum)
                }
                None => Err(Failure::Reverted),
            },
            _ if model.balances[from] < amount => Err(Failure::Reverted),
            _ => Err(Failure::OutOfGas),
        };
        ran_out += u32::from(result == Err(Failure::OutOfGas));
        assert_eq!(result, expected.map(U256::from), "call {number}");
        gas += limit - world.gas;
    }
    let octets: Vec<u8> = (world.storage.iter().flatten())
        .flat_map(|(slot, value)| [slot.to_be_bytes::<32>(), value.to_be_bytes::<32>()].concat())
        .collect();
    env::commit_slice(Impl::hash_bytes(&octets).as_bytes());
    env::commit_slice(&gas.to_le_bytes());
    env::commit_slice(&[ran_out]);
}
