//! Shows the progress of a long run: a line on the terminal that makes room for the guest's output.
//!
//! A thread draws the line five times a second, after the first second of the run. It draws only if standard error is a
//! terminal. This module must not know what a run does.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::mem;
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tachy::CancelHandle;

use crate::streams::GuestStdout;
use crate::text::{count, grouped};
use crate::waiting::Waiting;

/// A shorter run shows no progress.
const SILENCE: Duration = Duration::from_secs(1);
/// Printed when a guest waits for a terminal.
const WAITS: &str =
    "tachy: the guest reads its standard input from this terminal; type the input and end it with Ctrl-D";
/// Time between two drawings of the line.
const INTERVAL: Duration = Duration::from_millis(200);
/// Stack size of the thread, independent of `RUST_MIN_STACK`.
const STACK_BYTES: usize = 256 << 10;

/// The progress line, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Progress(Option<Arc<Mutex<Line>>>);

struct Line {
    lines: MultiProgress,
    bar: ProgressBar,
    is_drawn: bool,
    /// Whether the cursor is at the start of a line and the guest is not reading, so that our line can be drawn.
    is_free: bool,
    /// Number of segments so far.
    segments: u64,
}

impl Progress {
    /// A progress line on the terminal, unless a result of ours goes to the same terminal.
    pub(crate) fn on_terminal(guest_stdout: GuestStdout) -> Progress {
        let stdout_shows_ours = guest_stdout == GuestStdout::Stderr && io::stdout().is_terminal();
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        if !io::stderr().is_terminal() || stdout_shows_ours || lines.is_hidden() {
            return Progress::default();
        }
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = lines.add(ProgressBar::no_length().with_style(style));
        Progress(Some(Arc::new(Mutex::new(Line { lines, bar, is_drawn: false, is_free: true, segments: 0 }))))
    }

    /// Shows the progress of a run until the returned value is dropped. Shows nothing if the system refuses a thread.
    pub(crate) fn watch(&self, run: CancelHandle) -> Option<Watch> {
        let line = self.0.clone()?;
        let (end, ended) = mpsc::channel::<()>();
        let watched = line.clone();
        let thread = thread::Builder::new().name("progress".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            let started = Instant::now();
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let elapsed = started.elapsed();
                if elapsed >= SILENCE {
                    lock(&watched).draw(run.steps(), elapsed);
                }
            }
        });
        Some(Watch { line, end: Some(end), thread: thread.ok(), process: process::id() })
    }

    /// Counts a segment.
    pub(crate) fn segment(&self) {
        if let Some(line) = &self.0 {
            lock(line).segments += 1;
        }
    }

    /// An output of the guest. If it is a terminal, the line makes room for it.
    pub(crate) fn beside(&self, stream: File) -> Box<dyn Write + Send> {
        let stream = Waiting::new(stream);
        match &self.0 {
            Some(line) if stream.is_terminal() => Box::new(Beside { stream, line: line.clone(), is_told: false }),
            _ => Box::new(stream),
        }
    }

    /// Our standard input as the guest's. On a terminal, the line makes room for what the user types. A message says once
    /// that the guest waits, unless the guest printed a prompt.
    pub(crate) fn before(&self, stream: Waiting<File>) -> Box<dyn Read + Send> {
        match &self.0 {
            Some(line) if stream.is_terminal() => Box::new(Beside { stream, line: line.clone(), is_told: false }),
            _ => Box::new(stream),
        }
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    fn draw(&mut self, steps: u64, elapsed: Duration) {
        if !self.is_free {
            return;
        }
        let rate = steps as f64 / elapsed.as_secs_f64() / 1e6;
        let mut text = format!("{}, {rate:.1} M steps/s", count(steps, "step"));
        if self.segments > 0 {
            text += &format!(", segments: {}", grouped(self.segments));
        }
        self.bar.set_message(text);
        self.bar.tick();
        self.is_drawn = true;
    }

    fn clear(&mut self) {
        if std::mem::replace(&mut self.is_drawn, false) {
            // If this fails, the terminal shows nothing to clear.
            let _ = self.lines.clear();
        }
    }
}

/// A run whose progress is shown.
pub(crate) struct Watch {
    line: Arc<Mutex<Line>>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    process: u32,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.process != process::id() {
            // A child of a fork does not have the thread.
            mem::forget((self.end.take(), self.thread.take()));
            return;
        }
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has printed its message, and the run does not depend on it.
            let _ = thread.join();
        }
        let mut line = lock(&self.line);
        line.clear();
        line.bar.finish_and_clear();
    }
}

/// A stream of the guest on our terminal.
struct Beside {
    stream: Waiting<File>,
    line: Arc<Mutex<Line>>,
    is_told: bool,
}

impl Write for Beside {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut line = lock(&self.line);
        line.clear();
        let written = self.stream.write(data)?;
        if let Some(last) = data.get(..written).and_then(<[u8]>::last) {
            line.is_free = *last == b'\n';
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Read for Beside {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut line = lock(&self.line);
        line.clear();
        if line.is_free && !self.is_told && !self.stream.is_ready() {
            // A failure to print the message is ignored.
            let _ = writeln!(io::stderr(), "{WAITS}");
            self.is_told = true;
        }
        line.is_free = false;
        drop(line);
        let read = self.stream.read(buffer);
        // The user has ended the line.
        lock(&self.line).is_free = true;
        read
    }
}
