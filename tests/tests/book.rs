//! The book: each test that its table "Asked there, here by test" names is there, its C program is
//! the one that is built and run, and each of its chapters is in its contents.

use std::fs;
use std::path::{Path, PathBuf};

/// Fewest rows of a project.
const ROWS_MIN: usize = 10;
/// The projects whose users asked.
const PROJECTS: [&str; 6] = [
    "µSockets and µWebSockets",
    "mio",
    "tokio",
    "libuv",
    "smoltcp",
    "embassy-net",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A row: who asked where, for what, and what stands in the last column.
struct Row {
    project: String,
    thread: String,
    wish: String,
    answer: String,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(repository().join("core/docs/asked.md")).unwrap();
    let mut project = String::new();
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut project);
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if let [thread, wish, answer] = cells[..]
            && thread.starts_with('[')
        {
            rows.push(Row {
                project: project.clone(),
                thread: thread.to_owned(),
                wish: wish.to_owned(),
                answer: answer.to_owned(),
            });
        }
    }
    rows
}

/// Whether a file has a function of this name that is run as a test: by the attribute, or because a
/// list of tests names it as well.
fn has_test(path: &str, function: &str) -> bool {
    let text = fs::read_to_string(repository().join(path)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_it = |line: &&str| {
        line.trim_start_matches("pub ")
            .strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(function))
            .is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let Some(at) = lines.iter().position(is_it) else {
        return false;
    };
    let attributes = lines[..at].iter().rev();
    let has_attribute = attributes
        .take_while(|line| line.starts_with('#') || line.starts_with("//"))
        .any(|line| *line == "#[test]");
    let list = if path.starts_with("tests/conformance/src/suite/") {
        fs::read_to_string(repository().join("tests/conformance/src/list.rs")).unwrap()
    } else {
        text.clone()
    };
    let entry = format!("{function},");
    let is_listed = list.lines().any(|line| line.trim() == entry);
    has_attribute || is_listed
}

#[test]
fn each_test_that_the_table_names_is_there() {
    let mut missing = Vec::new();
    for row in rows() {
        if row.answer.starts_with("not here: ") {
            continue;
        }
        let named = row.answer.trim_matches('`').split_once("::");
        if !named.is_some_and(|(path, function)| has_test(path, function)) {
            missing.push(format!("{}: {}", row.thread, row.answer));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn each_row_names_a_public_thread_and_each_project_has_ten() {
    let rows = rows();
    for row in &rows {
        let (shown, link) = row
            .thread
            .trim_matches(['[', ')'])
            .split_once("](")
            .unwrap();
        let (repository, number) = shown.split_once('#').unwrap();
        assert_eq!(repository.split('/').count(), 2, "{shown}");
        assert!(number.parse::<u32>().is_ok(), "{shown}");
        assert_eq!(
            link,
            format!("https://github.com/{repository}/issues/{number}")
        );
        assert!(!row.wish.is_empty(), "{shown}");
    }
    for project in PROJECTS {
        let tested = rows
            .iter()
            .filter(|row| row.project == project && row.answer.starts_with('`'));
        assert!(tested.count() >= ROWS_MIN, "{project}");
    }
    assert!(rows.iter().all(|row| PROJECTS.contains(&&*row.project)));
}

/// The program of the chapter on C is the example, which the tests of the C interface run.
#[test]
fn the_c_program_is_the_example() {
    let chapter = fs::read_to_string(repository().join("core/docs/from_c.md")).unwrap();
    let example = fs::read_to_string(repository().join("bindings/c/examples/echo.c")).unwrap();
    let (_, program) = chapter.split_once("```c\n").unwrap();
    let (program, _) = program.split_once("```").unwrap();
    assert!(program == example, "core/docs/from_c.md is not up to date");
}

/// Each chapter's file is included by its crate's module, and each module is in the contents.
#[test]
fn each_chapter_is_in_the_contents() {
    let contents = fs::read_to_string(repository().join("core/docs/book.md")).unwrap();
    let mut chapters = 0;
    for crate_ in ["core", "core/async", "platform-linux", "platform-smoltcp"] {
        let module = fs::read_to_string(repository().join(crate_).join("src/book.rs")).unwrap();
        assert!(contents.contains(&format!("`{crate_}/docs`")), "{crate_}");
        for entry in fs::read_dir(repository().join(crate_).join("docs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(module.contains(&format!("../docs/{name}")), "{name}");
            let chapter = name.trim_end_matches(".md");
            if !["book", "tasks"].contains(&chapter) {
                let link = [format!("[`{chapter}`]"), format!("book::{chapter}`]")];
                assert!(link.iter().any(|link| contents.contains(link)), "{name}");
            }
            chapters += 1;
        }
    }
    assert!(chapters >= 15, "{chapters}");
}
