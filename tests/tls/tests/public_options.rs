//! What reads documents says what is wrong with them: of the public interface, no function that
//! reads something returns an `Option`, whose `None` would mean an end, a fault and a lack of room
//! alike.

use std::fs;
use std::path::{Path, PathBuf};

/// How names of functions begin that read what a file or a peer says.
const READING: [&str; 7] = [
    "decode", "from_der", "from_pem", "load", "next", "parse", "read",
];
/// Names that begin so and read nothing.
const OTHERS: [&str; 1] = ["next_deadline"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn what_reads_tells_what_is_wrong() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = vec![
        root.join("platform-linux/src/keys.rs"),
        root.join("platform-linux/src/aws_lc.rs"),
    ];
    files(&root.join("core/src/tls"), &mut found);
    let mut count = 0;
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("    pub fn ") {
            let signature = text[at + 11..].split('{').next().unwrap();
            let name = signature.split(['(', '<']).next().unwrap();
            let reads = READING.iter().any(|start| name.starts_with(start));
            if !reads || OTHERS.contains(&name) {
                continue;
            }
            count += 1;
            let answer = signature.split("->").nth(1).unwrap_or_default().trim();
            let place = format!("{}: {name}", path.display());
            assert!(
                !answer.starts_with("Option"),
                "{place} does not say why not"
            );
        }
    }
    println!("{count} functions read");
    assert!(count >= 6, "{count}: the search does not find them");
}
