//! Style as a test: what no compiler and no lint checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Item, Lit, Meta, UseTree};

/// Widest line.
const COLUMNS_MAX: usize = 100;
/// Longest function, its signature and braces included.
const FUNCTION_LINES_MAX: usize = 70;
/// Longest file of a library.
const FILE_LINES_MAX: usize = 800;
/// The libraries, which the longest file is a rule for.
const LIBRARIES: [&str; 6] = [
    "core/async/src",
    "core/src",
    "platform-linux/src",
    "platform-posix/src",
    "platform-smoltcp/src",
    "platform-windows/src",
];
/// Folders whose files have a bound together: what is to stay thin.
const FOLDERS: [(&str, usize); 1] = [("platform-smoltcp/src/smoltcp", 700)];
/// Files of the core that may import one another: a type and what its methods are passed.
const CYCLES: [&str; 2] = ["core/src/handler.rs", "core/src/sockets/socket.rs"];
/// Words of the first edition that name nothing a reader knows, refused in names.
const REFUSED: [&str; 20] = [
    "settle",
    "conclude",
    "planted",
    "lent",
    "lend",
    "loan",
    "knock",
    "judge",
    "redeem",
    "heed",
    "mend",
    "swallow",
    "everyone",
    "come_back",
    "left_over",
    "unsettled",
    "farewell",
    "fail_unread",
    "broken_end",
    "told",
];
/// Where they are refused.
const REFUSED_IN: [&str; 2] = ["core/src", "platform-linux/src"];
/// Files that a tool or a reader finds by their names.
const KNOWN: [&str; 13] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "config.toml",
    "rustfmt.toml",
    ".gitignore",
];
/// Words that mark what is not done, each in two halves so that this file has none.
const MARKERS: [[&str; 2]; 5] = [
    ["TO", "DO"],
    ["FIX", "ME"],
    ["XX", "X"],
    ["HA", "CK"],
    ["WI", "P"],
];

/// A file of the project.
struct File {
    /// From the workspace.
    path: PathBuf,
    text: String,
}

impl File {
    fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    fn is_rust(&self) -> bool {
        self.path
            .extension()
            .is_some_and(|extension| extension == "rs")
    }

    fn syntax(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{:?}: {error}", self.path))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every text file of the project, without what is built.
fn files() -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                if !name.starts_with('.') && name != "target" && name != "artifacts" {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.len() > 50, "the project was not found");
    files.retain(|file| file.name() != ".git");
    files
}

/// What every platform must do, the one of Windows does too.
#[test]
fn the_whole_suite_runs_on_windows() {
    let files = files();
    let program = Path::new("tests/wine/tests/conformance.rs");
    let program = files.iter().find(|file| file.path == program).unwrap();
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        if file.path.starts_with("tests/tests")
            && file.text.lines().any(|line| line == "on_every_platform!(")
            && !program.text.contains(&format!("tests/{}", file.name()))
        {
            faults.push(format!("{}: not run on Windows", file.path.display()));
        }
    }
    none(&faults);
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn lines_fit_the_screen() {
    let mut faults = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        for (line, text) in (1..).zip(file.text.lines()) {
            let columns = text.chars().count();
            if columns > COLUMNS_MAX {
                faults.push(format!("{}:{line}: {columns} columns", file.path.display()));
            }
        }
    }
    none(&faults);
}

#[test]
fn files_of_the_libraries_are_short() {
    let mut faults = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let lines = file.text.lines().count();
        if LIBRARIES
            .iter()
            .any(|library| file.path.starts_with(library))
            && lines > FILE_LINES_MAX
        {
            faults.push(format!("{}: {lines} lines", file.path.display()));
        }
    }
    none(&faults);
}

/// What is said to be thin is.
#[test]
fn thin_folders_stay_thin() {
    let files = files();
    for (folder, lines_max) in FOLDERS {
        let inside = files.iter().filter(|file| file.path.starts_with(folder));
        let lines: usize = inside.map(|file| file.text.lines().count()).sum();
        assert!(lines > 0, "{folder} is gone");
        assert!(lines <= lines_max, "{folder}: {lines} lines");
    }
}

/// Imports point one way: no file of the core reaches itself through `use crate::`, but a few.
#[test]
fn the_core_imports_one_way() {
    let files = files();
    let core: Vec<&File> = files
        .iter()
        .filter(|file| file.is_rust() && file.path.starts_with("core/src"))
        .collect();
    let by_module: BTreeMap<String, usize> = core
        .iter()
        .enumerate()
        .map(|(index, file)| (module_path(&file.path), index))
        .collect();
    let imports: Vec<Vec<usize>> = core
        .iter()
        .enumerate()
        .map(|(index, file)| {
            let mut found = Vec::new();
            for item in &file.syntax().items {
                if let Item::Use(import) = item {
                    crate_paths(&import.tree, "", &mut found);
                }
            }
            let file_of = |path: &String| {
                let parts: Vec<&str> = path.split("::").collect();
                let fits = |len: &usize| by_module.get(&parts[..*len].join("::")).copied();
                (1..=parts.len()).rev().find_map(|len| fits(&len))
            };
            found.retain(|path| path.starts_with("crate::"));
            for path in &mut found {
                *path = path.trim_start_matches("crate::").to_string();
            }
            let mut to: Vec<usize> = found.iter().filter_map(file_of).collect();
            // What `lib.rs` re-exports points everywhere.
            to.retain(|other| *other != index && !core[*other].path.ends_with("lib.rs"));
            to
        })
        .collect();
    let mut faults = Vec::new();
    for (index, file) in core.iter().enumerate() {
        let mut seen = BTreeSet::new();
        let mut next = imports[index].clone();
        while let Some(other) = next.pop() {
            if seen.insert(other) {
                next.extend(&imports[other]);
            }
        }
        let path = file.path.to_str().unwrap();
        if seen.contains(&index) && !CYCLES.contains(&path) {
            faults.push(format!("{path}: imports itself through others"));
        }
    }
    none(&faults);
}

/// The path of a file's module in its crate.
fn module_path(path: &Path) -> String {
    let path = path.strip_prefix("core/src").unwrap().with_extension("");
    let mut parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
    parts.pop_if(|last| *last == "mod");
    parts.join("::")
}

/// The paths below `crate::` that a `use` names.
fn crate_paths(tree: &UseTree, before: &str, found: &mut Vec<String>) {
    let join = |name: &syn::Ident| match before {
        "" => name.to_string(),
        before => format!("{before}::{name}"),
    };
    match tree {
        UseTree::Path(path) => crate_paths(&path.tree, &join(&path.ident), found),
        UseTree::Name(name) => found.push(join(&name.ident)),
        UseTree::Rename(rename) => found.push(join(&rename.ident)),
        UseTree::Glob(_) => found.push(before.to_string()),
        UseTree::Group(group) => {
            for tree in &group.items {
                crate_paths(tree, before, found);
            }
        }
    }
}

/// Where names may speak of draining, which is to end a loop in order.
const DRAIN_IN: [&str; 4] = [
    "core/src/compose",
    "core/src/event_loop",
    "core/src/handler.rs",
    "core/src/sockets/close.rs",
];

/// The names in a line of code.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

/// To drain is to end a loop in order. `drained` alone, as a name, is what a platform says of a
/// socket whose bytes or connections it has handed out.
#[test]
fn drain_means_one_thing() {
    let mut faults = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let is_in = |folders: &[&str]| folders.iter().any(|folder| file.path.starts_with(folder));
        if !is_in(&REFUSED_IN) {
            continue;
        }
        for (line, text) in (1..).zip(file.text.lines()) {
            for name in names(text) {
                let lower = name.to_lowercase();
                let is_right = !lower.contains("drain")
                    || name == "drained"
                    || !lower.contains("drained") && is_in(&DRAIN_IN);
                if !is_right {
                    faults.push(format!("{}:{line}: {name}", file.path.display()));
                }
            }
        }
    }
    none(&faults);
}

/// Names are made of the words of the RFCs, of POSIX and of µSockets.
#[test]
fn names_are_the_fields_words() {
    let mut faults = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        if !REFUSED_IN
            .iter()
            .any(|folder| file.path.starts_with(folder))
        {
            continue;
        }
        for (line, text) in (1..).zip(file.text.lines()) {
            for name in names(text) {
                let refused = REFUSED
                    .iter()
                    .any(|word| name == *word || name.split('_').any(|part| part == *word));
                if refused {
                    faults.push(format!("{}:{line}: {name}", file.path.display()));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn functions_fit_the_screen() {
    struct Functions(Vec<(String, usize)>);

    impl<'ast> Visit<'ast> for Functions {
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            self.0.push(lines(&function.sig, &function.block));
            visit::visit_item_fn(self, function);
        }

        fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
            self.0.push(lines(&function.sig, &function.block));
            visit::visit_impl_item_fn(self, function);
        }

        fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
            if let Some(block) = &function.default {
                self.0.push(lines(&function.sig, block));
            }
            visit::visit_trait_item_fn(self, function);
        }
    }

    fn lines(sig: &syn::Signature, block: &syn::Block) -> (String, usize) {
        let (first, last) = (sig.span().start().line, block.span().end().line);
        (sig.ident.to_string(), last - first + 1)
    }

    let mut faults = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let mut functions = Functions(Vec::new());
        functions.visit_file(&file.syntax());
        for (name, lines) in functions.0 {
            if lines > FUNCTION_LINES_MAX {
                faults.push(format!("{}: {name} has {lines} lines", file.path.display()));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_module_is_documented() {
    let mut faults = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let syntax = file.syntax();
        if !documented(&syntax.attrs) {
            faults.push(format!("{}: says not what it is", file.path.display()));
        }
        for item in &syntax.items {
            if let Item::Mod(module) = item
                && module.content.is_some()
                && !documented(&module.attrs)
                && !module
                    .attrs
                    .iter()
                    .any(|attribute| attribute.path().is_ident("cfg"))
            {
                let name = &module.ident;
                faults.push(format!(
                    "{}: mod {name} says not what it is",
                    file.path.display()
                ));
            }
        }
    }
    none(&faults);
}

fn documented(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("doc"))
}

#[test]
fn nothing_is_marked_as_undone() {
    let mut faults = Vec::new();
    for file in files() {
        for (line, text) in (1..).zip(file.text.lines()) {
            let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
            if words.any(|word| MARKERS.iter().any(|marker| word == marker.concat())) {
                faults.push(format!("{}:{line}: {}", file.path.display(), text.trim()));
            }
        }
    }
    none(&faults);
}

/// What needs `std`, each in a feature that says so: what asks the processor for its instructions,
/// the descriptor of a loop, and memory on the heap.
const WITH_STD: [&str; 5] = [
    "core/src/tls/crypto/x25519.rs",
    "core/src/event_loop/descriptor.rs",
    "platform-linux/src/keys.rs",
    "platform-posix/src/zeroed.rs",
    "platform-posix/src/passed.rs",
];

/// Without `std` and libc a library can neither print (W34) nor look a name up (W18).
#[test]
fn the_libraries_have_no_std() {
    for library in LIBRARIES {
        let text = fs::read_to_string(root().join(library).join("lib.rs")).unwrap();
        assert!(text.contains("#![no_std]\n"), "{library} links std");
    }
    let mut faults = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let tests = ["#[cfg(test)]", "#[cfg(all(test"];
        let tests = tests
            .iter()
            .filter_map(|&start| file.text.find(start))
            .min();
        let tests = tests.unwrap_or(file.text.len());
        let text = file.text.get(..tests).unwrap_or_default();
        if LIBRARIES
            .iter()
            .any(|library| file.path.starts_with(library))
            && !WITH_STD.iter().any(|path| file.path.ends_with(path))
            && (text.contains("extern crate") || text.contains("extern \"C\""))
        {
            faults.push(format!("{}: reaches beyond core", file.path.display()));
        }
    }
    none(&faults);
}

#[test]
fn every_file_is_used() {
    let files = files();
    let mut used = BTreeSet::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for module in modules(&file.syntax().items) {
            used.extend(places(file, &module));
        }
    }
    let mut faults = Vec::new();
    for file in &files {
        let known = if file.is_rust() {
            is_root(&file.path) || used.contains(&file.path) || is_target(&files, &file.path)
        } else {
            KNOWN.contains(&file.name()) || file.path == Path::new(".ci/run") || named(&files, file)
        };
        if !known {
            faults.push(format!("{}: nothing uses it", file.path.display()));
        }
    }
    none(&faults);
}

/// Whether a manifest has a target with this path.
fn is_target(files: &[File], path: &Path) -> bool {
    let manifests = files.iter().filter(|file| file.name() == "Cargo.toml");
    manifests
        .filter_map(|file| Some((path.strip_prefix(file.path.parent()?).ok()?, file)))
        .any(|(path, file)| {
            file.text
                .contains(&format!("path = \"{}\"", path.display()))
        })
}

/// The files and paths that the modules of a file are to be found at.
fn modules(items: &[Item]) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    for item in items {
        let Item::Mod(module) = item else {
            continue;
        };
        if module.content.is_none() {
            let path = module.attrs.iter().find_map(path_of);
            found.push((module.ident.to_string(), path));
        }
    }
    found
}

/// What `#[path = ".."]` says.
fn path_of(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(value) = &attribute.meta else {
        return None;
    };
    let Expr::Lit(literal) = &value.value else {
        return None;
    };
    match &literal.lit {
        Lit::Str(path) if value.path.is_ident("path") => Some(path.value()),
        _ => None,
    }
}

/// Where the file of a module may be.
fn places(parent: &File, (name, path): &(String, Option<String>)) -> Vec<PathBuf> {
    let folder = parent.path.parent().unwrap();
    if let Some(path) = path {
        return vec![plain(&folder.join(path))];
    }
    let folder = if is_root(&parent.path) || parent.name() == "mod.rs" {
        folder.to_path_buf()
    } else {
        parent.path.with_extension("")
    };
    vec![
        folder.join(format!("{name}.rs")),
        folder.join(name).join("mod.rs"),
    ]
}

/// The path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// Whether Cargo finds the file by itself.
fn is_root(path: &Path) -> bool {
    let name = path.file_name().unwrap();
    let folder = path.parent().unwrap().file_name().unwrap_or_default();
    if name == "lib.rs" || name == "main.rs" || name == "build.rs" {
        return true;
    }
    let by_folder = ["bin", "examples", "tests", "benches", "fuzz_targets"];
    by_folder.iter().any(|known| folder == *known)
}

/// Whether another file names this one, or the folder it is in.
fn named(files: &[File], file: &File) -> bool {
    let folder = file.path.parent().unwrap().file_name();
    let folder = folder.map(|folder| folder.to_str().unwrap());
    files.iter().any(|other| {
        other.path != file.path
            && (other.text.contains(file.name())
                || folder.is_some_and(|folder| {
                    other.is_rust() && other.text.contains(&format!("{folder}\""))
                }))
    })
}
