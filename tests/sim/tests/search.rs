//! The shipped loop, searched through all that can happen to it.
//!
//! `SEARCH=large` searches the large configurations, for `.ci/soak`; `CASE=echo` one alone;
//! `STATES=1000000` stops each at as many states, and then the search is not whole.

use std::env::var;
use std::time::Instant;

use usockets_sim::search::cases;

#[test]
fn nothing_can_happen_that_is_wrong() {
    let (only, large) = (
        var("CASE").ok(),
        var("SEARCH").is_ok_and(|what| what == "large"),
    );
    let most = var("STATES")
        .ok()
        .map(|most| most.parse::<u64>().expect("a number"));
    let many = if large { 500_000 } else { 10_000 };
    let (mut sum, mut large_ones, mut open) = (0, 0, Vec::new());
    for case in cases() {
        if only.as_ref().is_some_and(|only| only != case.name()) {
            continue;
        }
        let case = if large { case.large() } else { *case };
        let since = Instant::now();
        let searched = case.search_at_most(most.unwrap_or(u64::MAX));
        let coverage = searched.unwrap_or_else(|found| panic!("{}: {found}", case.name()));
        println!("{}: {coverage}, {:.1?}", case.name(), since.elapsed());
        sum += coverage.states;
        large_ones += u64::from(coverage.states >= many);
        if coverage.frontier > 0 {
            open.push(case.name());
        }
    }
    println!("{sum} states");
    assert!(
        most.is_some() || open.is_empty(),
        "a frontier is left of {open:?}"
    );
    if most.is_none() && only.is_none() {
        let all = if large { 10_000_000 } else { 500_000 };
        assert!(sum >= all, "{sum} states, not {all}");
        assert!(
            large_ones >= 8,
            "{large_ones} configurations have {many} states, not 8"
        );
    }
}
