//! Commands that repeat a run, ready to be pasted into a shell. It must not know why the user repeats it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use crate::args::{ConditionArgs, GuestArgs};
use crate::risc0::seed::Seed;
use crate::text::quoted;
use crate::values::InputPath;

/// Whether a guest reads our standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OurInput {
    Read,
    Unread,
}

/// The parts of a command line that determine what a run computes.
pub(crate) struct Repeat {
    options: Vec<OsString>,
    program: OsString,
    args: Vec<OsString>,
    input: OurInput,
}

impl Repeat {
    /// A program without input.
    pub(crate) fn of_program(program: &InputPath, args: &[OsString], conditions: &ConditionArgs) -> Repeat {
        let machine = conditions.machine_option();
        Repeat {
            options: machine.into_iter().chain(conditions.command_line()).collect(),
            program: program.as_path().as_os_str().to_owned(),
            args: args.to_vec(),
            input: OurInput::Unread,
        }
    }

    /// A guest, with the seed of its random bytes if it drew any.
    pub(crate) fn of_guest(guest: &GuestArgs, input: OurInput, seed: Option<Seed>) -> Repeat {
        let mut repeat = Repeat::of_program(&guest.program, &guest.args, &guest.conditions);
        if let Some(stdin) = &guest.stdin {
            repeat.options.push(option("--stdin", stdin.as_path()));
        }
        repeat.options.extend(guest.r0vm.command_line());
        repeat.options.extend(seed.map(|seed| option("--random-seed", seed.to_string())));
        Repeat { input, ..repeat }
    }

    /// The command `name` with additional options.
    pub(crate) fn command(&self, name: &str, options: &[String]) -> String {
        let tachy = std::env::args_os().next().unwrap_or_else(|| "tachy".into());
        let mut words = vec![tachy, name.into()];
        words.extend(options.iter().map(OsString::from));
        words.extend(self.options.iter().cloned());
        words.push(self.program.clone());
        if !self.args.is_empty() {
            words.push("--".into());
            words.extend(self.args.iter().cloned());
        }
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        match self.input_file() {
            Some(file) => format!("{} < {}", words.join(" "), quoted(&file)),
            None => words.join(" "),
        }
    }

    /// What the command alone does not say.
    pub(crate) fn note(&self) -> &'static str {
        match self.input == OurInput::Read && self.input_file().is_none() {
            true => ", with the same input,",
            false => "",
        }
    }

    /// The file that our standard input is open on, if the system reports it.
    fn input_file(&self) -> Option<OsString> {
        if self.input == OurInput::Unread {
            return None;
        }
        let path = fs::read_link("/proc/self/fd/0").ok().filter(|path| path.is_absolute())?;
        let is_repeatable =
            fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) || path == Path::new("/dev/null");
        is_repeatable.then(|| path.into_os_string())
    }
}

/// An option and its value as one word.
pub(crate) fn option(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut word = OsString::from(name);
    word.push("=");
    word.push(value);
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        guest: GuestArgs,
    }

    /// The command without the program's own name.
    fn command(name: &str, args: &[&str], input: OurInput) -> String {
        let line = Line::parse_from([&["tachy"][..], args].concat());
        let repeat = Repeat::of_guest(&line.guest, input, line.guest.r0vm.random_seed());
        let text = repeat.command(name, &["--from=7".to_owned()]);
        let (_, rest) = text.split_once(&format!(" {name} ")).expect("the command's name");
        rest.to_owned()
    }

    #[test]
    fn a_command_has_all_that_decides_a_run_and_writes_nothing() {
        assert_eq!(command("trace", &["x.elf"], OurInput::Unread), "--from=7 x.elf");
        let args = [
            "--limit-steps=10",
            "--machine",
            "r0vm",
            "--stdin",
            "my input",
            "--env",
            "A=it's",
            "--read-fd",
            "4=a b",
            "--write-fd",
            "5=out",
            "--po2",
            "14",
            "--journal",
            "j",
            "--segments",
            "s",
            "the program",
            "--",
            "-x",
            "a b",
            "",
        ];
        let expected = "--from=7 --machine=r0vm --limit-steps=10 '--stdin=my input' '--env=A=it'\\''s' '--read-fd=4=a b' \
                        --write-fd=5=/dev/null --po2=14 'the program' -- -x 'a b' ''";
        assert_eq!(command("trace", &args, OurInput::Unread), expected);
        let seed = "ab".repeat(32);
        let claim = format!("{}:{}", "01".repeat(32), "02".repeat(32));
        let args = ["--random-seed", &seed, "--assumption", &claim, "x.bin"];
        let expected = format!("--from=7 --assumption={claim} --random-seed={seed} x.bin");
        assert_eq!(command("diff", &args, OurInput::Unread), expected);
    }

    #[test]
    fn a_comparison_reads_what_the_run_read() {
        let without_input = |text: String| text.split(" < ").next().map(str::to_owned).expect("there is text");
        assert_eq!(without_input(command("diff", &["x.elf"], OurInput::Read)), "--from=7 x.elf");
        assert_eq!(without_input(command("trace", &["x.elf"], OurInput::Read)), "--from=7 x.elf");
        assert_eq!(without_input(command("diff", &["--stdin=-", "x.elf"], OurInput::Read)), "--from=7 --stdin=- x.elf");
    }
}
