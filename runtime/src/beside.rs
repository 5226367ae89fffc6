//! Runs a thread beside a call: it may borrow what the call may borrow, and has ended when the call returns.
//!
//! It works like `std::thread::scope`, except in a child of a fork: the thread does not exist there, and a scope would
//! wait for it forever. It must not know what either side does.

use std::io;
use std::mem;
use std::thread::{Builder, JoinHandle};

use crate::process::ProcessNumber;

/// How the thread ended.
#[derive(Debug)]
pub enum Beside<W> {
    /// It completed its work.
    Done(W),
    /// It panicked.
    Panicked,
    /// This is a child of the process that has the thread. Data that the thread borrowed may stay half changed forever.
    Elsewhere,
}

/// Joins the thread, unless this is another process.
struct Joined<W> {
    thread: Option<JoinHandle<W>>,
    process: ProcessNumber,
}

impl<W> Joined<W> {
    fn join(&mut self) -> Beside<W> {
        match self.thread.take() {
            Some(thread) if self.process != ProcessNumber::current() => {
                // The system has no such thread here.
                mem::forget(thread);
                Beside::Elsewhere
            }
            Some(thread) => thread.join().map_or(Beside::Panicked, Beside::Done),
            None => Beside::Panicked,
        }
    }
}

impl<W> Drop for Joined<W> {
    fn drop(&mut self) {
        self.join();
    }
}

/// Calls `run` while a thread of this name calls `work`, and returns both results. If `run` panics, the panic continues
/// after the thread has ended: everything that `work` waits for must end with `run`.
///
/// # Errors
/// Fails if the system cannot create a thread. Then neither is called.
pub fn beside<R, W: Send>(
    name: &str,
    stack_bytes: usize,
    work: impl FnOnce() -> W + Send,
    run: impl FnOnce() -> R,
) -> io::Result<(R, Beside<W>)> {
    let builder = Builder::new().name(name.to_owned()).stack_size(stack_bytes);
    // SAFETY: the borrows of `work` and of its result outlive the thread. `Joined` waits for the thread before this
    // function returns or unwinds, because it is dropped here on either way and is never moved out. In a child of a
    // fork there is no such thread that could use them.
    let thread = unsafe { builder.spawn_unchecked(work) }?;
    let mut joined = Joined { thread: Some(thread), process: ProcessNumber::current() };
    let ran = run();
    Ok((ran, joined.join()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc::channel;

    const STACK_BYTES: usize = 1 << 20;

    #[test]
    fn both_sides_borrow_and_are_done() {
        let (mut sum, mut sent) = (0, Vec::new());
        let (sender, receiver) = channel();
        let (last, joined) = beside(
            "test",
            STACK_BYTES,
            || receiver.into_iter().map(|number: u32| sum += number).count(),
            || {
                for number in 0..100 {
                    sent.push(number);
                    sender.send(number).expect("the thread listens");
                }
                drop(sender);
                sent.len()
            },
        )
        .expect("the system has threads");
        assert!(matches!(joined, Beside::Done(100)) && last == 100);
        assert_eq!(sum, sent.iter().sum());
    }

    #[test]
    fn panics_of_either_side_leave_no_thread() {
        let mut done = false;
        let (sender, receiver) = channel::<()>();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let (receiver, done) = (receiver, &mut done);
            let work = move || {
                let _ = receiver.recv();
                *done = true;
            };
            beside("test", STACK_BYTES, work, move || {
                let _sender = sender;
                panic!("on purpose")
            })
        }));
        assert!(ran.is_err() && done, "the thread was waited for");
        let ran: io::Result<((), Beside<()>)> = beside("test", STACK_BYTES, || panic!("on purpose"), || ());
        assert!(matches!(ran, Ok(((), Beside::Panicked))));
    }

    /// The view of a child of a fork: it does not wait.
    #[test]
    fn threads_of_another_process_are_not_waited_for() {
        let (sender, receiver) = channel::<()>();
        let thread = Builder::new().spawn(move || receiver.recv().is_err()).expect("the system has threads");
        let mut joined = Joined { thread: Some(thread), process: ProcessNumber::other() };
        assert!(matches!(joined.join(), Beside::Elsewhere));
        drop(sender);
    }
}
