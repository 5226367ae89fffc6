//! How far a long run has come: a line on the terminal that gives way to whatever the guest writes there.
//!
//! A thread of its own looks at the run five times a second and draws, from the run's second second on, and only where
//! standard error is a terminal: nothing else ever sees it. It must not know what a run does.

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

use crate::text::{count, grouped};
use crate::waiting::Waiting;

/// A run that takes less shows nothing.
const SILENCE: Duration = Duration::from_secs(1);
/// For who sits before a guest that waits.
const WAITS: &str = "tachy: the guest reads its standard input, which is this terminal: type, and end it with Ctrl-D";
/// How often the line is drawn.
const INTERVAL: Duration = Duration::from_millis(200);
/// The stack of the thread, whatever `RUST_MIN_STACK` says.
const STACK_BYTES: usize = 256 << 10;

/// The line, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Progress(Option<Arc<Mutex<Line>>>);

struct Line {
    lines: MultiProgress,
    bar: ProgressBar,
    is_drawn: bool,
    /// Whether the guest has ended its last line and is not waiting for one, so that ours stands alone.
    is_free: bool,
    /// Segments made, if any are.
    segments: u64,
}

impl Progress {
    /// A line where there is a terminal for it that is not for something else of ours.
    pub(crate) fn on_terminal(stdout_taken: bool) -> Progress {
        let stdout_shows_ours = stdout_taken && io::stdout().is_terminal();
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        if !io::stderr().is_terminal() || stdout_shows_ours || lines.is_hidden() {
            return Progress::default();
        }
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = lines.add(ProgressBar::no_length().with_style(style));
        Progress(Some(Arc::new(Mutex::new(Line { lines, bar, is_drawn: false, is_free: true, segments: 0 }))))
    }

    /// Shows how far this run comes, until what this gives is dropped. Where there is no thread to be had, it shows
    /// nothing.
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

    /// Another segment was made.
    pub(crate) fn segment(&self) {
        if let Some(line) = &self.0 {
            lock(line).segments += 1;
        }
    }

    /// A stream of the guest's that the line gives way to, if both are on terminals.
    pub(crate) fn beside(&self, stream: File) -> Box<dyn Write + Send> {
        let stream = Waiting::new(stream);
        match &self.0 {
            Some(line) if stream.is_terminal() => Box::new(Beside { stream, line: line.clone(), is_told: false }),
            _ => Box::new(stream),
        }
    }

    /// Our input as the guest's, likewise: what is typed shall not stand behind our line. Who sits at a terminal is told,
    /// once, that the guest waits there, unless the guest has asked for something itself.
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
            // A terminal that refuses this has nothing to clear.
            let _ = self.lines.clear();
        }
    }
}

/// A run that is looked at.
pub(crate) struct Watch {
    line: Arc<Mutex<Line>>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    process: u32,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.process != process::id() {
            // In a child of a fork nobody draws, and nobody could be waited for.
            mem::forget((self.end.take(), self.thread.take()));
            return;
        }
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has told of itself, and the run does not depend on it.
            let _ = thread.join();
        }
        let mut line = lock(&self.line);
        line.clear();
        line.bar.finish_and_clear();
    }
}

/// A stream of the guest's on our terminal.
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
            // Who cannot be told waits without a word.
            let _ = writeln!(io::stderr(), "{WAITS}");
            self.is_told = true;
        }
        line.is_free = false;
        drop(line);
        let read = self.stream.read(buffer);
        // Whoever typed has ended the line.
        lock(&self.line).is_free = true;
        read
    }
}
