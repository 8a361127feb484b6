//! Whether the search finds each injected bug: in the steps that are written down, again from its
//! script, and not without the bug.

use std::fmt::Debug;
use std::panic::{set_hook, take_hook};

use usockets_sim::search::Case;

/// Each bug, the configuration that finds it, and in how many steps.
pub type Found<B> = (B, &'static str, usize);

/// Looks for each bug after the other, as one is injected into all of the process.
///
/// # Panics
/// If one is not found so.
pub fn check<B: Copy + Debug>(found: &[Found<B>], cases: &[Case], inject: impl Fn(Option<B>)) {
    // What panics is reported by the search.
    set_hook(Box::new(|_| {}));
    let wrong: Vec<String> = (found.iter())
        .filter_map(|found| check_one(*found, cases, &inject).err())
        .collect();
    inject(None);
    drop(take_hook());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_one<B: Copy + Debug>(
    (bug, name, steps): Found<B>,
    cases: &[Case],
    inject: impl Fn(Option<B>),
) -> Result<(), String> {
    let case = cases.iter().find(|case| case.name() == name);
    let case = case.ok_or_else(|| format!("there is no configuration {name}"))?;
    inject(Some(bug));
    let found = case.find(steps);
    let found = found.ok_or_else(|| format!("{bug:?} is not found in {steps} steps of {name}"))?;
    let (again, trace) = case.replay(&found.script);
    if (again.as_deref(), &trace) != (Some(&found.what), &found.trace) {
        return Err(format!("{bug:?}: the script of {name} shows another thing"));
    }
    inject(None);
    if let Some(sound) = case.find(steps) {
        return Err(format!("without {bug:?}: {sound}"));
    }
    let found_in = found.script.len();
    println!("{bug:?}: {name}, {found_in} steps: {}", found.what);
    if found_in != steps {
        return Err(format!(
            "{bug:?} is found in {found_in} steps, not in {steps}"
        ));
    }
    Ok(())
}
