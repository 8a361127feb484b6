//! The proof in `tests/probe` is about every public call of the core: none may be left out.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{ImplItem, Item, Visibility};

/// What is the crates' of the cryptography: their proof would be their own.
const CRYPTOGRAPHY: [&str; 3] = ["embedded/", "/rustcrypto.rs", "/signature.rs"];

/// What only a search through all states calls, and no program has.
const SEARCH: &str = "/event_loop/search.rs";

/// The text of every file of a folder and of those in it.
fn sources(folder: &str) -> Vec<String> {
    let mut folders: Vec<PathBuf> = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_str().unwrap().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs")
                && !name.ends_with(SEARCH)
                && !CRYPTOGRAPHY.iter().any(|part| name.contains(part))
            {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}

/// The public methods of a file, with their types.
fn methods(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for item in syn::parse_file(text).unwrap().items {
        let Item::Impl(block) = item else {
            continue;
        };
        let syn::Type::Path(of) = &*block.self_ty else {
            continue;
        };
        let of = of.path.segments.last().unwrap().ident.to_string();
        for item in &block.items {
            if let ImplItem::Fn(function) = item
                && matches!(function.vis, Visibility::Public(_))
            {
                found.push((of.clone(), function.sig.ident.to_string()));
            }
        }
    }
    found
}

#[test]
fn the_probe_makes_every_public_call() {
    let probe = sources("probe/src").concat();
    let mut count = 0;
    let mut missing = Vec::new();
    for text in sources("../core/src") {
        for (of, name) in methods(&text) {
            count += 1;
            let calls = [
                format!(".{name}("),
                format!("::{name}("),
                format!("::{name})"),
            ];
            if !calls.iter().any(|call| probe.contains(call)) {
                missing.push(format!("{of}::{name}"));
            }
        }
    }
    assert!(count > 140, "only {count} public calls were found");
    assert!(missing.is_empty(), "not in the probe: {missing:?}");
}
