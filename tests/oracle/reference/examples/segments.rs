//! Writes the segments of a guest into a folder, for the prover: `segments FOLDER GUEST [VARIANT]`.

use std::error::Error;
use std::{env, fs};

use oracle_reference::{binary, cases, run};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (folder, guest, variant) = match &arguments[..] {
        [folder, guest] => (folder, guest, ""),
        [folder, guest, variant] => (folder, guest, variant.as_str()),
        _ => return Err("usage: segments FOLDER GUEST [VARIANT]".into()),
    };
    let mut cases = cases().into_iter();
    let case = cases.find(|case| case.guest == guest && case.variant == variant).ok_or("no such guest and variant")?;
    fs::create_dir_all(folder)?;
    for segment in run(&binary(guest), &case.environment).segments {
        fs::write(format!("{folder}/{guest}-{:04}", segment.index), &segment.encoded)?;
        println!("{segment:?}");
    }
    Ok(())
}
