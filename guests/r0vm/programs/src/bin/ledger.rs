//! The state transition of a ledger: accounts in a map, a block of transactions, the root of the state before and after.
//!
//! Input: u32 accounts, u32 transactions. The transactions are encoded with postcard, as they would arrive. Every
//! eighth is wrong, by its nonce or its amount, and must be refused. Journal: both roots, u32 applied, u32 refused.

use std::collections::BTreeMap;

use r0vm_programs::next;
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Digest, Impl, Sha256};
use serde::{Deserialize, Serialize};

type Address = [u8; 20];

#[derive(Clone, Default, Serialize, Deserialize)]
struct Account {
    balance: u64,
    nonce: u32,
    storage: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Transaction {
    from: Address,
    nonce: u32,
    action: Action,
}

#[derive(Serialize, Deserialize)]
enum Action {
    Transfer { to: Address, amount: u64 },
    Set { key: String, value: String },
    Delete { key: String },
}

#[derive(Debug, PartialEq)]
enum Refusal {
    UnknownAccount,
    Nonce,
    Balance,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<Address, Account>,
}

impl State {
    /// Checks everything before it changes anything.
    fn apply(&mut self, transaction: Transaction) -> Result<(), Refusal> {
        let account = self.accounts.get_mut(&transaction.from).ok_or(Refusal::UnknownAccount)?;
        if account.nonce != transaction.nonce {
            return Err(Refusal::Nonce);
        }
        match transaction.action {
            Action::Transfer { to, amount } => {
                account.balance = account.balance.checked_sub(amount).ok_or(Refusal::Balance)?;
                account.nonce += 1;
                self.accounts.entry(to).or_default().balance += amount;
            }
            Action::Set { key, value } => {
                account.nonce += 1;
                account.storage.insert(key, value);
            }
            Action::Delete { key } => {
                account.nonce += 1;
                account.storage.remove(&key);
            }
        }
        Ok(())
    }

    /// Returns the root of a Merkle tree over the accounts in order. An odd one at the end of a level moves up.
    fn root(&self) -> Digest {
        let leaf = |(address, account): (&Address, &Account)| {
            let octets = postcard::to_allocvec(&(address, account)).expect("an account is encoded");
            *Impl::hash_bytes(&octets)
        };
        let mut level: Vec<Digest> = self.accounts.iter().map(leaf).collect();
        while level.len() > 1 {
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => *Impl::hash_pair(left, right),
                _ => pair[0],
            });
            level = above.collect();
        }
        level.first().copied().unwrap_or(Digest::ZERO)
    }

    fn total(&self) -> u64 {
        self.accounts.values().map(|account| account.balance).sum()
    }
}

fn address(number: u32) -> Address {
    let digest = Impl::hash_words(&[number]);
    digest.as_bytes()[..20].try_into().expect("a digest is longer")
}

fn main() {
    let accounts: u32 = env::read();
    let transactions: u32 = env::read();
    let addresses: Vec<Address> = (0..accounts).map(address).collect();
    let account = |address: &Address| (*address, Account { balance: 1_000_000, ..Account::default() });
    let mut ledger = State { accounts: addresses.iter().map(account).collect() };
    let mut nonces = vec![0; addresses.len()];
    let mut random = 1;
    // A block, as it would arrive.
    let block: Vec<Vec<u8>> = (0..transactions)
        .map(|number| {
            let from = next(&mut random) as usize % addresses.len();
            let key = format!("key {}", next(&mut random) % 16);
            let mut action = match number % 4 {
                0 => Action::Set { key, value: format!("value {number}") },
                1 if number % 16 == 1 => Action::Delete { key },
                _ => {
                    let to = match number % 32 {
                        2 => address(accounts + number),
                        _ => addresses[next(&mut random) as usize % addresses.len()],
                    };
                    Action::Transfer { to, amount: u64::from(next(&mut random) % 100) }
                }
            };
            let mut nonce = nonces[from];
            match number % 16 {
                7 => nonce += 1,
                15 => action = Action::Transfer { to: addresses[0], amount: u64::MAX / 2 },
                _ => nonces[from] += 1,
            }
            let transaction = Transaction { from: addresses[from], nonce, action };
            postcard::to_allocvec(&transaction).expect("a transaction is encoded")
        })
        .collect();
    let total = ledger.total();
    env::commit_slice(ledger.root().as_bytes());
    let mut applied = 0u32;
    for (number, octets) in block.iter().enumerate() {
        let result = ledger.apply(postcard::from_bytes(octets).expect("a transaction is decoded"));
        let expected = match number % 16 {
            7 => Err(Refusal::Nonce),
            15 => Err(Refusal::Balance),
            _ => Ok(()),
        };
        assert_eq!(result, expected, "transaction {number}");
        applied += u32::from(result.is_ok());
    }
    assert_eq!(ledger.total(), total, "transfers make no money");
    let stranger = Transaction { from: [0; 20], nonce: 0, action: Action::Delete { key: String::new() } };
    assert_eq!(ledger.apply(stranger), Err(Refusal::UnknownAccount));
    env::commit_slice(ledger.root().as_bytes());
    env::commit_slice(&[applied, transactions - applied]);
}
