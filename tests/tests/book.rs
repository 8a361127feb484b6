//! The book: each test, script and figure that its table "Asked there, here by test" names is
//! there, its C program is the one that is built and run, and each of its chapters is in its
//! contents.

use std::path::Path;
use std::{fs, io};

use self::written::{FOLDERS, repository, test_paths, words_in_macros};

mod written;

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

/// Returns how the list of tests names a function of a file, if the file is there.
fn listed(path: &str, function: &str) -> Option<String> {
    let file = Path::new(path);
    let stem = file.file_stem()?.to_str()?;
    let (_, prefix) = FOLDERS
        .iter()
        .find(|(folder, _)| file.starts_with(folder))?;
    let is_there = repository().join(file).is_file();
    is_there.then(|| format!("{prefix}{stem}::{function}"))
}

/// Whether a file of tests has its tests made for `name`, one of those that its macro lists.
fn are_made_for(path: &str, name: &str) -> bool {
    let is_test = Path::new(path)
        .components()
        .any(|part| part.as_os_str() == "tests");
    let file = repository().join(path);
    is_test && file.is_file() && words_in_macros(&file).contains(name)
}

/// Whether a script that CI runs has a function, and calls it.
fn calls(script: &str, function: &str) -> bool {
    let text = fs::read_to_string(repository().join(script)).unwrap_or_default();
    let is_called = |line: &str| line.split_whitespace().next() == Some(function);
    ci().contains(script)
        && text.lines().any(|line| line == format!("{function}() {{"))
        && text.lines().any(is_called)
}

/// Whether `budget`, which CI runs, has a figure of that name.
fn is_figure(name: &str) -> bool {
    let folder = repository().join("tests/src/bin/budget");
    let named = [format!("\"{name}\""), format!("\"  {name}\"")];
    let has = |file: io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        named.iter().any(|name| text.contains(name))
    };
    ci().contains("--bin budget") && fs::read_dir(folder).unwrap().any(has)
}

/// What CI runs.
fn ci() -> String {
    fs::read_to_string(repository().join(".ci/run")).unwrap()
}

#[test]
fn what_the_table_names_is_there() {
    let tests = test_paths();
    let is_there = |named: &str| {
        if let Some(figure) = named.strip_prefix("budget: ") {
            return is_figure(figure);
        }
        let Some((path, name)) = named.split_once("::") else {
            return false;
        };
        if Path::new(path).extension() == Some("sh".as_ref()) {
            return calls(path, name);
        }
        let test = listed(path, name);
        test.is_some_and(|test| tests.contains(&test)) || are_made_for(path, name)
    };
    let mut missing = Vec::new();
    for row in rows() {
        let mut all = row.answer.trim_matches('`').split("`, `");
        if !row.answer.starts_with("not here: ") && !all.all(is_there) {
            missing.push(format!("{}: {}", row.thread, row.answer));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    for wrong in [
        "tests/bare_metal.sh::try_nothing",
        "tests/tests/conformance.rs::on_paper",
        "budget: calls to do nothing",
    ] {
        assert!(!is_there(wrong), "{wrong}");
    }
}

/// Each test, and each file, of the repository that a chapter names is there.
#[test]
fn each_test_that_a_chapter_names_is_there() {
    let tests = test_paths();
    let mut named = 0;
    for folder in ["core/docs", "platform-linux/docs", "platform-smoltcp/docs"] {
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let codes = text
                .split('`')
                .filter(|code| !code.contains(char::is_whitespace));
            for code in codes.filter(|code| code.contains('/') && code.contains(".rs")) {
                let (file, test) = code.split_once("::").unwrap_or((code, ""));
                let is_in_tests = FOLDERS.iter().any(|(folder, _)| file.starts_with(folder));
                let is_listed = listed(file, test).is_some_and(|name| {
                    // Two files of a name may be in two folders.
                    let text = fs::read_to_string(repository().join(file)).unwrap();
                    test.is_empty() || tests.contains(&name) && text.contains(&format!("fn {test}"))
                });
                let is_there = is_listed || are_made_for(file, test);
                named += usize::from(is_in_tests);
                assert!(is_there || !is_in_tests, "{}: {code}", path.display());
            }
        }
    }
    assert!(named > 80, "{named}");
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
