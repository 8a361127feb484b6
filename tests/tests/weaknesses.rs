//! What is wrong with µSockets in C, by number, and which tests show that it is not so here.
//!
//! A test names the weaknesses that it is about in its documentation, as in "(W4, W21)". The table
//! below and these names must agree: whoever writes such a test adds it to its line.

use std::collections::BTreeSet;
use std::fs;

mod written;

use self::Answer::{Measured, RuledOut, Tested};

/// What is done about a weakness.
enum Answer {
    /// These tests, as `file::function`.
    Tested(&'static [&'static str]),
    /// `budget` has a figure of this name for it.
    Measured(&'static str),
    /// It cannot come about, for this reason.
    RuledOut(&'static str),
}

/// Number, weakness, answer.
const TABLE: [(u32, &str, Answer); 34] = [
    (
        1,
        "memory that moves while the kernel points to it",
        Tested(&[
            "calls_inside_calls::adopt_inside",
            "contexts::an_adopted_socket_keeps_its_name_and_timeout",
        ]),
    ),
    (
        2,
        "names that outlive what they name",
        Tested(&[
            "calls_inside_calls::adopt_inside",
            "calls_inside_calls::close_self_inside",
            "calls_inside_calls::connect_inside",
            "calls_inside_calls::write_and_finish_inside",
            "dropped::the_memory_is_as_good_as_new",
            "stale_names::a_stale_name_reaches_nobody",
        ]),
    ),
    (
        3,
        "descriptors or slots run out, and the loop spins",
        Tested(&[
            "full_pool::a_full_pool_pauses_the_listener_and_loses_nobody",
            "out_of_descriptors::a_listener_that_stops_while_it_waits_leaves_nothing_due",
            "out_of_descriptors::a_reached_limit_costs_no_spinning_and_loses_nobody",
            "out_of_descriptors::a_simulated_host_without_descriptors_loses_nobody",
        ]),
    ),
    (
        4,
        "bytes that came before an end or error are lost",
        Tested(&[
            "delivery_before_close::a_failed_write_still_delivers_what_came_before",
            "delivery_before_close::a_raw_peer_that_half_closes_gets_the_rest",
            "delivery_before_close::a_raw_peer_that_resets_with_unread_bytes",
            "delivery_before_close::bytes_and_end_of_a_peer_that_closed_come_in_order",
            "delivery_before_close::bytes_with_the_end_after_our_own_end",
            "delivery_before_close::what_was_taken_before_a_close_arrives",
            "half_close::bytes_before_the_end_come_first",
            "half_close::we_still_receive_after_our_own_end",
        ]),
    ),
    (
        5,
        "a vectored write that comes short is not resumed",
        Tested(&[
            "back_pressure::writing_until_full_in_on_writable_never_stalls",
            "back_pressure::writing_vectored_until_full_never_stalls",
        ]),
    ),
    (
        6,
        "a write raises SIGPIPE",
        Tested(&[
            "back_pressure::writing_vectored_until_full_never_stalls",
            "delivery_before_close::a_failed_write_still_delivers_what_came_before",
            "no_sigpipe::writes_to_a_reset_peer_raise_no_signal",
        ]),
    ),
    (
        7,
        "one socket's failed write is taken for another's",
        Tested(&["back_pressure::a_full_socket_does_not_stall_another"]),
    ),
    (
        8,
        "a write before the socket opens derails it",
        Tested(&[
            "write_before_open::a_write_before_open_takes_nothing_and_open_still_comes",
            "write_before_open::other_calls_before_open_do_no_harm",
        ]),
    ),
    (
        9,
        "the loop ends although something is left to do",
        Tested(&[
            "calls_inside_calls::start_and_stop_timers_inside",
            "timers::a_timer_fires_once",
        ]),
    ),
    (
        10,
        "closing everything derails when a call closes a neighbour",
        Tested(&[
            "calls_inside_calls::abort_a_peer_inside",
            "calls_inside_calls::close_a_peer_inside",
            "calls_inside_calls::close_all_inside",
            "calls_inside_calls::close_all_of_the_others_inside",
            "calls_inside_calls::closed_inside_on_open_closes_once",
            "contexts::all_of_a_context_close_and_no_others",
            "contexts::what_on_close_connects_stays",
            "write_before_open::closing_before_open_makes_no_call",
        ]),
    ),
    (
        11,
        "the end is told more than once",
        Tested(&[
            "calls_inside_calls::write_and_finish_inside",
            "cork::finish_waits_for_the_cork",
            "delivery_before_close::bytes_with_the_end_after_our_own_end",
            "half_close::the_end_comes_once",
        ]),
    ),
    (
        12,
        "sockets that are put off are forgotten or starve",
        Tested(&[
            "calls_inside_calls::close_all_of_the_others_inside",
            "fairness::all_of_many_senders_are_done",
        ]),
    ),
    (
        13,
        "timeouts come early, wrap around, or stretch",
        Tested(&[
            "calls_inside_calls::rearm_inside",
            "connect_errors::no_answer_times_out_after_ten_seconds",
            "timeouts::a_timeout_comes_once_and_zero_disarms",
            "timeouts::every_length_is_never_early_and_at_most_a_tick_late",
            "timeouts::putting_off_costs_no_list_work",
            "timeouts::short_timeouts_are_never_early",
            "timeouts::timeouts_are_right_after_a_stall",
        ]),
    ),
    (
        14,
        "an idle loop wakes up for ever",
        Tested(&[
            "far_deadlines::an_idle_loop_is_not_polled",
            "far_deadlines::an_idle_loop_makes_no_system_call",
            "out_of_descriptors::a_listener_that_stops_while_it_waits_leaves_nothing_due",
        ]),
    ),
    (
        15,
        "a descriptor and system calls per timer",
        Tested(&[
            "calls_inside_calls::rearm_inside",
            "calls_inside_calls::start_and_stop_timers_inside",
            "timers::a_timer_fires_once",
        ]),
    ),
    (
        16,
        "a close looks through all events that are ready",
        Tested(&[
            "calls_inside_calls::close_a_peer_inside",
            "stale_names::a_stale_name_reaches_nobody",
        ]),
    ),
    (
        17,
        "needless system calls per connection",
        Measured("calls of a whole short connection"),
    ),
    (
        18,
        "looking names up blocks the loop",
        Tested(&["tidy::the_libraries_have_no_std"]),
    ),
    (
        19,
        "the reason of a failed connect is lost",
        Tested(&[
            "connect_errors::each_failure_has_its_own_reason",
            "connect_errors::no_answer_times_out_after_ten_seconds",
            "connect_errors::refused_is_told_once",
            "connect_errors::reset_is_told_as_reset",
            "connect_errors::unreachable_is_told_once",
        ]),
    ),
    (
        20,
        "one peer or a flood keeps the loop to itself",
        Tested(&[
            "fairness::a_firehose_does_not_starve_another_connection",
            "fairness::a_flood_of_connections_does_not_starve_an_open_one",
            "fairness::a_socket_that_was_read_often_may_close_by_itself",
            "fairness::all_of_many_senders_are_done",
        ]),
    ),
    (
        21,
        "every reason to close looks the same",
        Tested(&[
            "calls_inside_calls::closed_inside_on_open_closes_once",
            "connect_errors::refused_is_told_once",
            "connect_errors::reset_is_told_as_reset",
            "delivery_before_close::a_failed_write_still_delivers_what_came_before",
            "delivery_before_close::a_raw_peer_that_resets_with_unread_bytes",
            "delivery_before_close::bytes_and_end_of_a_peer_that_closed_come_in_order",
            "delivery_before_close::what_was_taken_before_a_close_arrives",
            "full_pool::a_full_pool_evicts_the_idlest_if_asked_to",
            "full_pool::the_idlest_of_many_goes_first",
            "half_close::both_ends_close_in_order",
            "no_sigpipe::writes_to_a_reset_peer_raise_no_signal",
        ]),
    ),
    (
        22,
        "paths of local sockets overflow, and files are removed",
        Tested(&[
            "unix_datagrams::a_path_in_use_is_never_taken",
            "unix_datagrams::a_stale_path_is_replaced_only_where_asked",
        ]),
    ),
    (
        23,
        "calls that fail are not noticed, handlers are left unset",
        Tested(&["connect_errors::what_is_wrong_here_is_told_at_once"]),
    ),
    (
        24,
        "ports are shared without asking",
        Tested(&["addresses::a_shared_port_is_opt_in"]),
    ),
    (
        25,
        "one address family is tried in another's place",
        Tested(&["families::a_listener_serves_the_family_it_names"]),
    ),
    (
        26,
        "buffers are large and of one size",
        Tested(&["memory::a_receive_buffer_of_one_byte_works"]),
    ),
    (
        27,
        "datagrams are cut, and their sockets never close",
        Tested(&[
            "datagrams::both_families_meet_at_a_socket_of_ipv6",
            "linux/datagrams::a_whole_ipv6_address_arrives",
        ]),
    ),
    (
        28,
        "TLS checks neither names nor clients nor the end",
        Tested(&[
            "tls/layer::an_end_without_close_notify_is_truncation",
            "tls/refusals::clients_by_policy_and_name",
            "tls/refusals::names",
            "tls/refusals::names_choose_the_certificate",
        ]),
    ),
    (
        29,
        "a flag in every call says whether it is TLS",
        RuledOut("the endpoint says it once, and a socket's type has no flag to get wrong"),
    ),
    (
        30,
        "freeing a group while it is walked over",
        Tested(&["calls_inside_calls::close_all_inside"]),
    ),
    (
        31,
        "descriptors of 28 bits, lengths of 32",
        Tested(&[
            "memory::twenty_thousand_sockets_on_linux",
            "memory::twenty_thousand_sockets_on_sim",
        ]),
    ),
    (
        32,
        "listeners and connections share a type, and silently do nothing",
        Tested(&[
            "calls_inside_calls::listen_inside",
            "calls_inside_calls::stop_listening_inside",
            "stale_names::stale_names_of_listeners_and_timers_do_nothing",
        ]),
    ),
    (33, "QUIC ends the program", RuledOut("QUIC is not built")),
    (
        34,
        "the library prints",
        Tested(&[
            "stats::everything_is_counted",
            "tidy::the_libraries_have_no_std",
        ]),
    ),
];

/// The numbers behind a letter W.
fn numbers(text: &str) -> Vec<u32> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    words
        .filter_map(|word| word.strip_prefix('W')?.parse().ok())
        .collect()
}

#[test]
fn the_table_and_the_tests_agree() {
    let mut in_tests = BTreeSet::new();
    let mut faults = Vec::new();
    for function in written::functions() {
        let numbers = numbers(&function.documentation);
        if !numbers.is_empty() && !function.is_test {
            faults.push(format!("{} names a weakness and is no test", function.path));
        }
        in_tests.extend(
            numbers
                .into_iter()
                .map(|number| (number, function.path.clone())),
        );
    }
    let mut in_table = BTreeSet::new();
    for (number, _, answer) in &TABLE {
        if let Tested(tests) = answer {
            assert!(!tests.is_empty(), "nothing tests W{number}");
            in_table.extend(tests.iter().map(|&test| (*number, test.to_owned())));
        }
    }
    for (number, test) in in_tests.difference(&in_table) {
        faults.push(format!("the table's line {number} lacks {test:?}"));
    }
    for (number, test) in in_table.difference(&in_tests) {
        faults.push(format!(
            "{test} is in the table's line {number} and does not name it"
        ));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_weakness_has_an_answer() {
    let figures =
        fs::read_to_string(written::repository().join("tests/src/bin/budget/calls.rs")).unwrap();
    for ((number, weakness, answer), expected) in TABLE.iter().zip(1..) {
        assert_eq!(*number, expected);
        assert!(!weakness.is_empty());
        match answer {
            Tested(tests) => assert!(!tests.is_empty()),
            Measured(figure) => assert!(figures.contains(&format!("\"{figure}\"")), "W{number}"),
            RuledOut(reason) => assert!(!reason.is_empty()),
        }
    }
}
