//! Mutants that nobody can tell from the code as it is, or that only cost time: named one by one,
//! with the reason, in `tests/mutants/equivalent.txt`.

use std::fs;
use std::path::Path;
use std::process;

use crate::subject::{SUBJECTS, Subject};
use crate::tree::Listed;

/// One of them: the file and the change, without the line, and how the code begins there.
struct Entry {
    name: String,
    code: String,
}

pub struct Equivalent {
    entries: Vec<Entry>,
}

impl Equivalent {
    /// Reads those of a subject. Each has three lines or more: its name, the code from what is
    /// changed on, and why.
    pub fn read(path: &Path, subject: &Subject) -> Self {
        let text = fs::read_to_string(path).expect("the list of equivalent mutants");
        let parts = text
            .split("\n\n")
            .map(str::trim)
            .filter(|part| !part.is_empty() && !part.starts_with('#'));
        let entries = parts.map(|part| {
            let mut lines = part.lines().map(str::trim);
            let (Some(name), Some(code), Some(_)) = (lines.next(), lines.next(), lines.next())
            else {
                fail(&format!("an entry has a name, code and a reason: {part}"));
            };
            Entry {
                name: name.to_string(),
                code: code.to_string(),
            }
        });
        let entries: Vec<Entry> = entries.collect();
        for entry in &entries {
            if !SUBJECTS.iter().any(|subject| entry.is_in(subject)) {
                fail(&format!("of no subject: {}", entry.name));
            }
        }
        let of_subject = entries.into_iter().filter(|entry| entry.is_in(subject));
        Equivalent {
            entries: of_subject.collect(),
        }
    }

    /// Ends the program if an entry is of no mutant any more.
    pub fn check(&self, all: &[Listed<'_>]) {
        for entry in &self.entries {
            if !all.iter().any(|mutant| entry.is_of(mutant)) {
                fail(&format!("of no mutant: {}\n{}", entry.name, entry.code));
            }
        }
    }

    /// Returns true if a mutant is among them.
    pub fn has(&self, mutant: &Listed<'_>) -> bool {
        self.entries.iter().any(|entry| entry.is_of(mutant))
    }
}

impl Entry {
    /// Returns true if it is in a file of a subject.
    fn is_in(&self, subject: &Subject) -> bool {
        let has = |parts: &[&str]| parts.iter().any(|part| self.name.starts_with(part));
        has(subject.files) && !has(subject.but)
    }

    fn is_of(&self, mutant: &Listed<'_>) -> bool {
        // A name is `file:line:column: what`.
        let parts: Vec<&str> = mutant.name.splitn(4, ':').collect();
        let [file, _, _, what] = parts[..] else {
            return false;
        };
        self.name == format!("{file}:{what}") && mutant.code.starts_with(&self.code)
    }
}

fn fail(what: &str) -> ! {
    eprintln!("tests/mutants/equivalent.txt: {what}");
    process::exit(1);
}
