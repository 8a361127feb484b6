//! The drawings of `ARCHITECTURE.md` are those of the code.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap()
}

/// The lines from the one that starts with `first`, without what all begin with.
fn drawing(text: &str, prefix: &str, first: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(prefix));
    let lines = lines.map(|line| line.trim_start().to_string());
    let drawing: Vec<String> = lines
        .skip_while(|line| !line.starts_with(first))
        .take_while(|line| !line.is_empty() && !line.starts_with("```"))
        .collect();
    assert!(drawing.len() > 5, "no drawing that starts with {first:?}");
    drawing
}

#[test]
fn the_life_of_a_socket_is_drawn_as_in_the_code() {
    let code = drawing(&read("core/src/pool/flags.rs"), "///", "listen");
    let map = drawing(&read("ARCHITECTURE.md"), "", "listen ─");
    assert_eq!(map, code);
}

/// Every step that the map numbers has the same number in the code.
#[test]
fn the_steps_of_an_iteration_are_numbered_alike() {
    let code = read("core/src/event_loop/mod.rs");
    let map = read("ARCHITECTURE.md");
    let (_, section) = map.split_once("## One iteration").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let count = |text: &str, mark: &dyn Fn(u32) -> String| {
        (1..20)
            .take_while(|step| text.contains(&mark(*step)))
            .count()
    };
    let mapped = count(section, &|step| format!("\n{step}. "));
    let coded = count(&code, &|step| format!("// {step}. "));
    assert_eq!((mapped, coded), (6, 6));
}
