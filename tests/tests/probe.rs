//! The proof in `tests/probe` is about every public call of the core: none may be left out.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{ImplItem, Item, Visibility};

/// What is the crates' of the cryptography: their proof would be their own.
const CRYPTOGRAPHY: [&str; 4] = ["embedded.rs", "prover.rs", "rustcrypto.rs", "signature.rs"];

fn sources(folder: &str) -> Vec<String> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let files = files.filter(|path| {
        let name = path.file_name().unwrap();
        !CRYPTOGRAPHY.iter().any(|file| name == *file)
    });
    files
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
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
    for text in [sources("../core/src"), sources("../core/src/tls")].concat() {
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
