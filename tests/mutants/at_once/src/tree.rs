//! A copy of the tree, with the mutants in.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::mutate::{self, Finder, Mutant};
use crate::subject::Subject;

/// A file with mutants, whose numbers begin with `first`.
struct Mutated {
    name: String,
    text: String,
    mutants: Vec<Mutant>,
    first: u32,
}

impl Mutated {
    fn list(&self) -> impl Iterator<Item = Listed<'_>> {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        let print = hasher.finish();
        let numbered = (self.first..).zip(&self.mutants);
        numbered.map(move |(number, mutant)| Listed {
            number,
            name: &mutant.name,
            code: self.text[mutant.start..].lines().next().unwrap_or_default(),
            print,
        })
    }
}

/// The copy.
pub struct Tree<'a> {
    subject: &'a Subject,
    pub folder: PathBuf,
    target: PathBuf,
    files: Vec<Mutated>,
    /// Those that do not compile.
    pub unviable: HashSet<u32>,
}

/// A mutant, as those see it who try it.
#[derive(Clone, Copy)]
pub struct Listed<'a> {
    pub number: u32,
    pub name: &'a str,
    /// The line of code from what is changed on.
    pub code: &'a str,
    /// Tells one state of its file from others.
    pub print: u64,
}

/// A program of tests.
pub struct Program {
    pub path: PathBuf,
    /// Where it runs.
    pub folder: PathBuf,
}

impl<'a> Tree<'a> {
    /// Copies what git knows of, and finds the mutants.
    pub fn copy(subject: &'a Subject, from: &Path, out: &Path, target: &Path) -> Self {
        let folder = out.join("tree");
        let mut files: Vec<Mutated> = Vec::new();
        let mut left_out: Vec<String> = Vec::new();
        let names = names(from);
        remove_others(
            &folder,
            &names.iter().map(|name| folder.join(name)).collect(),
        );
        for name in names {
            let Ok(bytes) = fs::read(from.join(&name)) else {
                continue;
            };
            let is_subject = name.ends_with(".rs")
                && subject.files.iter().any(|below| name.starts_with(below))
                && !subject.but.iter().any(|below| name.starts_with(below));
            if !is_subject {
                write_if_changed(&folder.join(&name), &bytes);
                continue;
            }
            let text = String::from_utf8(bytes).expect("source in UTF-8");
            let (mutants, others) = Finder::new(&name, &text, subject.features).look();
            left_out.extend(others);
            files.push(Mutated {
                name,
                text,
                mutants,
                first: 0,
            });
        }
        let mut first = 0;
        for file in &mut files {
            if left_out.iter().any(|start| file.name.starts_with(start)) {
                file.mutants.clear();
            }
            file.first = first;
            first += u32::try_from(file.mutants.len()).expect("few mutants");
        }
        let manifest = folder.join(subject.krate).join("Cargo.toml");
        let switch = from.join("tests/mutants/at_once/switch");
        let text = fs::read_to_string(&manifest).expect("a manifest");
        let line = format!("[dependencies]\nusockets-mutants-switch = {{ path = {switch:?} }}\n");
        write_if_changed(
            &manifest,
            text.replacen("[dependencies]\n", &line, 1).as_bytes(),
        );
        Tree {
            subject,
            folder,
            target: target.to_path_buf(),
            files,
            unviable: HashSet::new(),
        }
    }

    /// Returns each mutant that compiles.
    pub fn mutants(&self) -> impl Iterator<Item = Listed<'_>> {
        let all = self.files.iter().flat_map(Mutated::list);
        all.filter(|one| !self.unviable.contains(&one.number))
    }

    fn write(&self) {
        for file in &self.files {
            let text = mutate::with_switches(&file.text, &file.mutants, file.first, &self.unviable);
            write_if_changed(&self.folder.join(&file.name), text.as_bytes());
        }
    }

    /// Builds the tests, and leaves out what does not compile until the rest does.
    pub fn build(&mut self) -> Vec<Program> {
        loop {
            self.write();
            let before = self.unviable.len();
            match self.cargo() {
                Ok(programs) => return programs,
                Err(errors) => {
                    for error in &errors {
                        let guilty = self.guilty(error);
                        self.unviable.extend(guilty);
                    }
                    println!("{} do not compile", self.unviable.len());
                    if self.unviable.len() == before {
                        for error in errors.iter().take(5) {
                            eprintln!("{}", error["rendered"].as_str().unwrap_or("?"));
                        }
                        panic!("{} errors that no mutant is to blame for", errors.len());
                    }
                }
            }
        }
    }

    /// Returns the programs, or what the compiler complains of.
    fn cargo(&self) -> Result<Vec<Program>, Vec<Value>> {
        let output = Command::new("cargo")
            .args(["+nightly", "test", "--no-run", "--profile", "mutants"])
            .args(["--message-format", "json", "--quiet"])
            .args(self.subject.tests.concat())
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUSTFLAGS", "--cap-lints=allow")
            .output()
            .expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let messages = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let (mut programs, mut errors) = (Vec::new(), Vec::new());
        for message in messages {
            if let (Some(path), Some(true)) = (
                message["executable"].as_str(),
                message["profile"]["test"].as_bool(),
            ) {
                let manifest = message["manifest_path"].as_str().expect("a manifest");
                let folder = Path::new(manifest)
                    .parent()
                    .expect("a folder")
                    .to_path_buf();
                programs.push(Program {
                    path: path.into(),
                    folder,
                });
            }
            if message["message"]["level"] == "error" {
                errors.push(message["message"].clone());
            }
        }
        if !output.status.success() && errors.is_empty() {
            // Not the compiler, but what comes before it.
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
        if output.status.success() {
            Ok(programs)
        } else {
            Err(errors)
        }
    }

    /// Returns the mutants that an error is about.
    fn guilty(&self, error: &Value) -> Vec<u32> {
        let spans = error["spans"].as_array().into_iter().flatten();
        let mut guilty: Vec<(bool, u32)> = spans
            .filter_map(|span| {
                let name = span["file_name"].as_str()?;
                let text = fs::read_to_string(self.folder.join(name)).ok()?;
                let byte = usize::try_from(span["byte_start"].as_u64()?).ok()?;
                let number = mutate::at(&text, byte)?;
                Some((span["is_primary"] == true, number))
            })
            .filter(|(_, number)| !self.unviable.contains(number))
            .collect();
        guilty.sort();
        // Where the branches of a switch differ, the compiler shows the first as well.
        let is_of_branches = error["message"]
            .as_str()
            .is_some_and(|text| text.contains("`else`"));
        guilty
            .iter()
            .rev()
            .filter(|(is_primary, _)| *is_primary || is_of_branches)
            .map(|(_, number)| *number)
            .collect()
    }
}

/// Returns what git knows of in a folder.
fn names(folder: &Path) -> Vec<String> {
    let output = Command::new("git")
        .arg("ls-files")
        .current_dir(folder)
        .output()
        .expect("git runs");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_string)
        .collect()
}

/// Removes what is in a folder from earlier runs but none of these files.
fn remove_others(folder: &Path, kept: &HashSet<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_others(&path, kept);
        } else if !kept.contains(&path) {
            fs::remove_file(&path).expect("a file is removed");
        }
    }
}

/// Writes a file, whose time stays if it is the same as before.
fn write_if_changed(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
    fs::write(path, bytes).expect("a file is written");
}
