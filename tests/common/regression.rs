//! Programs that failed once, saved in their shrunk form: one JSON file each, in `tests/regressions`.

use std::cell::Cell;
use std::fs;
use std::io;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Once;

use serde::{Deserialize, Serialize};

use super::comparison::Comparison;
use super::engines::Setup;
use super::generator::RandomProgram;

/// Attempts to find a smaller program that also fails.
const SHRINK_TRIES: usize = 600;

/// A program that failed, and the failure, for the reader of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Regression {
    /// The difference when it was found.
    pub found: String,
    /// The code as text.
    pub listing: Vec<String>,
    pub program: RandomProgram,
}

/// Returns the folder of the files.
pub fn folder() -> PathBuf {
    PathBuf::from(super::ROOT).join("tests/regressions")
}

/// Returns all files of the folder, by name.
pub fn all() -> Vec<(String, Regression)> {
    let mut found: Vec<(String, Regression)> = fs::read_dir(folder())
        .expect("the folder is part of the repository")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a file of the repository");
            let regression = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), regression)
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// Runs `what` without a report for each panic of this thread. The panic hook belongs to the whole process, in which
/// other tests run, so the hook stays installed and checks its thread.
fn quietly<T>(what: impl FnOnce() -> T) -> T {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                report(panic);
            }
        }));
    });
    QUIET.set(true);
    let result = what();
    QUIET.set(false);
    result
}

impl Regression {
    /// Shrinks the program while it fails under the same setups, and returns it with the failure that it then has.
    /// `found` is the original failure.
    pub fn shrunk(mut program: RandomProgram, setups: &[Setup; 2], found: &str) -> Regression {
        let mut comparison = Comparison::new(true);
        let mut check = |program: &RandomProgram| comparison.check_under(&program.case(), setups, program.seed).err();
        // Each try may panic; one report is enough.
        quietly(|| program.shrink(SHRINK_TRIES, |smaller| check(smaller).is_some()));
        // A failure that is not reproducible is kept as it was.
        let found = check(&program).unwrap_or_else(|| found.to_string());
        let listing = program.listing().lines().map(str::to_string).collect();
        Regression { found, listing, program }
    }

    /// Writes it to the folder, under the seed's name, and returns the path.
    #[allow(dead_code, reason = "for the soak, which is no test")]
    pub fn save(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join(format!("seed_{}.json", self.program.seed));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, text + "\n")?;
        Ok(path)
    }
}
