//! The shipped loop, and two connections of the shipped TCP, searched through all that can happen
//! to them.
//!
//! `SEARCH=large` searches the large configurations, for `.ci/soak`; `CASE=echo` one alone;
//! `STATES=1000000` stops each at as many states, and then the search is not whole.

use std::env::var;
use std::time::Instant;

use usockets_sim::search::{Case, cases, tcp_cases};

/// Searches all configurations. Each of `counted` of them has `many` states at least, and all
/// together have `sum`: the first numbers are of the small configurations, the second of the large.
fn search_all(cases: &[Case], sum: [u64; 2], many: [u64; 2], counted: usize) {
    let only = var("CASE").ok();
    let large = var("SEARCH").is_ok_and(|what| what == "large");
    let most = var("STATES")
        .ok()
        .map(|most| most.parse::<u64>().expect("a number"));
    let (least, many) = (sum[usize::from(large)], many[usize::from(large)]);
    let (mut sum, mut large_ones, mut open) = (0, 0, Vec::new());
    for case in cases {
        if only.as_ref().is_some_and(|only| only != case.name()) {
            continue;
        }
        let case = if large { case.large() } else { *case };
        let since = Instant::now();
        let searched = case.search_at_most(most.unwrap_or(u64::MAX));
        let coverage = searched.unwrap_or_else(|found| panic!("{}: {found}", case.name()));
        println!("{}: {coverage}, {:.1?}", case.name(), since.elapsed());
        sum += coverage.states;
        large_ones += usize::from(coverage.states >= many);
        if coverage.frontier > 0 {
            open.push(case.name());
        }
    }
    println!("{sum} states, {large_ones} configurations with {many} or more");
    if most.is_some() {
        return;
    }
    assert!(open.is_empty(), "a frontier is left of {open:?}");
    if only.is_none() {
        assert!(sum >= least, "{sum} states, not {least}");
        assert!(
            large_ones >= counted,
            "{large_ones} configurations have {many} states, not {counted}"
        );
    }
}

#[test]
fn nothing_can_happen_to_a_loop_that_is_wrong() {
    search_all(cases(), [500_000, 10_000_000], [10_000, 500_000], 8);
}

#[test]
fn nothing_can_happen_to_two_connections_that_is_wrong() {
    search_all(tcp_cases(), [600_000, 10_000_000], [10_000, 500_000], 10);
}
