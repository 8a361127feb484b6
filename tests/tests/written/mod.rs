//! The tests as they are written, for tables that name them.
#![allow(dead_code, reason = "each table asks something else")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Expr, Lit, Meta};

/// Where tests are, and what the names of their files begin with.
pub const FOLDERS: [(&str, &str); 8] = [
    ("tests/tests", ""),
    ("tests/conformance/src/suite", ""),
    ("tests/tls/tests", "tls/"),
    ("tests/sim/tests", "sim/"),
    ("core/tests", "core/"),
    ("platform-linux/tests", "linux/"),
    ("platform-posix/tests", "posix/"),
    ("platform-smoltcp/tests", "smoltcp/"),
];

/// A function in a file of tests.
pub struct Function {
    /// Its file and name, as in `tls/refusals::names`.
    pub path: String,
    /// What it is documented with.
    pub documentation: String,
    /// Whether it is run as a test, or is a helper.
    pub is_test: bool,
}

impl Function {
    /// Returns its name without its file.
    pub fn name(&self) -> &str {
        self.path.rsplit("::").next().unwrap()
    }
}

/// Returns the top folder of the project.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Returns every function in the files of tests.
pub fn functions() -> Vec<Function> {
    // The suite's functions are tests if its macro lists them.
    let list = fs::read_to_string(repository().join("tests/conformance/src/list.rs")).unwrap();
    let listed: BTreeSet<&str> = list
        .lines()
        .map(|line| line.trim().trim_end_matches(','))
        .collect();
    let mut all = Vec::new();
    for (folder, prefix) in FOLDERS {
        for path in sources(&repository().join(folder)) {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let read = Read::file(&path);
            for (name, documentation) in read.documented {
                all.push(Function {
                    path: format!("{prefix}{stem}::{name}"),
                    documentation,
                    is_test: read.run.contains(&name) || listed.contains(&*name),
                });
            }
        }
    }
    all
}

/// Returns the paths of the functions that are tests.
pub fn test_paths() -> BTreeSet<String> {
    let tests = functions().into_iter().filter(|function| function.is_test);
    tests.map(|function| function.path).collect()
}

/// Returns the words in the macros of a file of tests, such as the names of what each test is made
/// for.
pub fn words_in_macros(path: &Path) -> BTreeSet<String> {
    Read::file(path).in_macros
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension() == Some("rs".as_ref()) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// What one file has: what its functions are documented with, and which are run as tests.
#[derive(Default)]
struct Read {
    documented: Vec<(String, String)>,
    run: BTreeSet<String>,
    in_macros: BTreeSet<String>,
}

impl Read {
    fn file(path: &Path) -> Self {
        let syntax = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
        let mut read = Self::default();
        read.visit_file(&syntax);
        read.run.extend(read.in_macros.iter().cloned());
        read
    }
}

impl<'ast> Visit<'ast> for Read {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let name = function.sig.ident.to_string();
        let is_test = |attribute: &syn::Attribute| attribute.path().is_ident("test");
        if function.attrs.iter().any(is_test) {
            self.run.insert(name.clone());
        }
        let text: String = function.attrs.iter().filter_map(documentation).collect();
        self.documented.push((name, text));
        visit::visit_item_fn(self, function);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        // `on_every_platform!` and its like list the functions that become tests.
        if item.ident.is_none() {
            let text = item.mac.tokens.to_string();
            let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            self.in_macros.extend(words.map(str::to_owned));
        }
        visit::visit_item_macro(self, item);
    }
}

/// A line of documentation.
fn documentation(attribute: &syn::Attribute) -> Option<String> {
    let Meta::NameValue(value) = &attribute.meta else {
        return None;
    };
    match &value.value {
        Expr::Lit(literal) if value.path.is_ident("doc") => match &literal.lit {
            Lit::Str(line) => Some(format!("{}\n", line.value())),
            _ => None,
        },
        _ => None,
    }
}
