//! Programs that failed once, kept as small as they were shrunk to: a file of JSON each, in `tests/regressions`.

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

/// Tries at a smaller program that fails as well.
const SHRINK_TRIES: usize = 600;

/// A program that failed, and what was wrong, for whoever reads the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Regression {
    /// What differed when it was found.
    pub found: String,
    /// The code in words.
    pub listing: Vec<String>,
    pub program: RandomProgram,
}

/// Where they lie.
pub fn folder() -> PathBuf {
    PathBuf::from(super::ROOT).join("tests/regressions")
}

/// All that lie in the folder, by name.
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

/// Runs `what` without a report for each panic of this thread. The panic hook is the whole process's, and other tests run
/// in it, so the hook stays and asks which thread it is on.
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
    /// The program shrunk as far as it still fails under the same setups, and what is wrong with it then. `found` is what
    /// was wrong at first.
    pub fn shrunk(mut program: RandomProgram, setups: &[Setup; 2], found: &str) -> Regression {
        let mut comparison = Comparison::new(true);
        let mut check = |program: &RandomProgram| comparison.check_under(&program.case(), setups, program.seed).err();
        // Each try may panic; one report is enough.
        quietly(|| program.shrink(SHRINK_TRIES, |smaller| check(smaller).is_some()));
        // What fails now and then only is kept as it was.
        let found = check(&program).unwrap_or_else(|| found.to_string());
        let listing = program.listing().lines().map(str::to_string).collect();
        Regression { found, listing, program }
    }

    /// Writes it to the folder, under the seed's name, and returns where.
    #[allow(dead_code, reason = "for the soak, which is no test")]
    pub fn save(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join(format!("seed_{}.json", self.program.seed));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, text + "\n")?;
        Ok(path)
    }
}
