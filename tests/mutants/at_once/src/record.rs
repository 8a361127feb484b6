//! What became of each mutant, in a file that grows while they are tried.
//!
//! So a run that was cut off can go on, and one with more tests need only try what those before
//! missed. What was noticed counts as long as the mutant's file is the same.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use crate::run::Outcome;
use crate::tree::Listed;

pub struct Record {
    /// What was noticed before, by what is written of it.
    noticed: HashMap<String, Outcome>,
    file: Mutex<File>,
}

impl Record {
    /// Opens the record in a folder, that of samples or that of all, and reads it if it `goes_on`;
    /// else it begins anew.
    pub fn open(folder: &Path, is_sample: bool, goes_on: bool) -> Self {
        let name = if is_sample {
            "sample.txt"
        } else {
            "outcomes.txt"
        };
        let path = folder.join(name);
        let old = match goes_on {
            true => fs::read_to_string(&path).unwrap_or_default(),
            false => String::new(),
        };
        let read = |line: &str| {
            let (outcome, of) = line.split_once(' ')?;
            let known = [Outcome::Noticed, Outcome::NoEnd];
            let outcome = known
                .into_iter()
                .find(|one| format!("{one:?}") == outcome)?;
            Some((of.to_string(), outcome))
        };
        let noticed = old.lines().filter_map(read).collect();
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .append(goes_on)
            .truncate(!goes_on)
            .open(path);
        Record {
            noticed,
            file: Mutex::new(file.expect("the record is opened")),
        }
    }

    /// Returns how a mutant was noticed before, if it was.
    pub fn before(&self, mutant: &Listed<'_>) -> Option<Outcome> {
        self.noticed.get(&written(mutant)).copied()
    }

    /// Adds what became of a mutant.
    pub fn add(&self, mutant: &Listed<'_>, outcome: Outcome) {
        let line = format!("{outcome:?} {}\n", written(mutant));
        let mut file = self.file.lock().expect("a lock");
        file.write_all(line.as_bytes()).expect("the record grows");
    }
}

fn written(mutant: &Listed<'_>) -> String {
    format!("{:016x} {}", mutant.print, mutant.name)
}
