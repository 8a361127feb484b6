//! What µSockets offers, function by function, and which tests show that it is here, or what the
//! README says that stands in its place; and the tests that the README names.

use std::collections::BTreeSet;
use std::fs;

mod written;

use self::Answer::{Different, Tested};
use self::written::{Function, repository};

/// What became of some functions of `libusockets.h`, or of a part of µSockets that has none.
enum Answer {
    /// It is here, and these tests use it.
    Tested(&'static [&'static str]),
    /// The row of the table "Deliberately different from µSockets" of the README that begins so.
    Different(&'static str),
}

const TABLE: &[(&str, Answer)] = &[
    // Loop.
    (
        "us_create_loop",
        Tested(&[
            "a_loop_runs_over_slices_of_any_length",
            "no_receive_buffer_is_an_error",
        ]),
    ),
    (
        "us_loop_free",
        Tested(&["the_memory_is_as_good_as_new", "everything_closes_on_sim"]),
    ),
    (
        "us_loop_ext us_timer_ext us_poll_ext us_socket_ext us_socket_context_ext \
         us_udp_socket_user",
        Different("memory beside each object"),
    ),
    (
        "us_loop_run",
        Tested(&["everything_comes_back", "a_timer_fires_once"]),
    ),
    (
        "us_loop_integrate",
        Tested(&[
            "timers_come_and_nothing_else_does",
            "an_idle_loop_makes_no_system_call",
        ]),
    ),
    (
        "us_wakeup_loop",
        Tested(&[
            "no_wake_up_of_any_thread_is_lost",
            "several_wake_ups_are_one_call",
        ]),
    ),
    (
        "us_loop_iteration_number",
        Tested(&["everything_is_counted"]),
    ),
    // Timers.
    (
        "us_create_timer us_timer_set us_timer_close",
        Tested(&[
            "a_timer_fires_once",
            "a_repeating_timer_does_not_drift",
            "a_stopped_timer_never_fires",
            "a_moved_timer_takes_no_other_slot",
        ]),
    ),
    (
        "a descriptor for each timer",
        Different("a descriptor for each timer"),
    ),
    (
        "fallthrough of timers and polls",
        Different("what keeps a loop alive"),
    ),
    (
        "us_timer_loop us_socket_context_loop",
        Different("callbacks by pointer"),
    ),
    // Polls.
    (
        "us_create_poll us_poll_init us_poll_start us_poll_stop us_poll_free us_poll_fd",
        Tested(&[
            "a_pipe_is_reported_once_per_arrival_and_read_by_the_program",
            "a_pipe_is_watched",
        ]),
    ),
    (
        "us_poll_change us_poll_events us_poll_resize",
        Different("interest in a descriptor"),
    ),
    // Contexts.
    (
        "us_create_socket_context us_socket_context_free us_socket_context",
        Different("groups of callbacks"),
    ),
    (
        "us_socket_context_close",
        Tested(&[
            "all_of_a_context_close_and_no_others",
            "what_on_close_connects_stays",
        ]),
    ),
    (
        "us_create_child_socket_context",
        Different("groups of callbacks"),
    ),
    (
        "us_socket_context_timestamp",
        Different("timeouts in ticks"),
    ),
    (
        "us_socket_context_get_native_handle us_socket_get_native_handle",
        Different("native handles"),
    ),
    (
        "us_socket_context_on_pre_open",
        Tested(&[
            "the_peer_and_the_listener_are_known",
            "who_is_refused_is_reset_and_takes_no_slot",
            "connections_go_to_another_loop_before_they_open",
        ]),
    ),
    (
        "us_socket_context_on_open us_socket_context_on_data us_socket_context_on_close",
        Tested(&["everything_is_counted", "both_ends_close_in_order"]),
    ),
    (
        "us_socket_context_on_writable",
        Tested(&["a_short_write_promises_one_on_writable"]),
    ),
    (
        "us_socket_context_on_end",
        Tested(&["the_end_comes_once", "bytes_before_the_end_come_first"]),
    ),
    (
        "us_socket_context_on_timeout us_socket_context_on_long_timeout",
        Tested(&[
            "short_timeouts_are_never_early",
            "a_timeout_comes_once_and_zero_disarms",
        ]),
    ),
    (
        "us_socket_context_on_connect_error",
        Tested(&["refused_is_told_once", "each_failure_has_its_own_reason"]),
    ),
    (
        "us_socket_context_on_server_name",
        Tested(&["certificates_are_chosen_by_name_and_read_again"]),
    ),
    // Listening and accepting.
    (
        "us_socket_context_listen us_listen_socket_close",
        Tested(&["a_listener_serves_the_family_it_names", "listeners_stop"]),
    ),
    ("a host to listen at by name", Different("names of hosts")),
    (
        "LIBUS_LISTEN_DEFAULT LIBUS_LISTEN_EXCLUSIVE_PORT",
        Different("a port is shared"),
    ),
    (
        "us_socket_context_listen_unix",
        Tested(&["a_mode_holds", "data_before_the_close_is_never_lost"]),
    ),
    (
        "a Unix path is unlinked first",
        Different("a Unix path is unlinked"),
    ),
    (
        "accepting until nothing is left",
        Tested(&[
            "a_flood_of_connections_does_not_starve_an_open_one",
            "a_reached_limit_costs_no_spinning_and_loses_nobody",
        ]),
    ),
    (
        "us_adopt_accepted_socket",
        Tested(&[
            "a_connection_goes_to_another_loop_with_its_bytes",
            "a_socket_that_listens_already_accepts",
        ]),
    ),
    (
        "timeouts of listeners",
        Different("listeners, connects and timers are sockets"),
    ),
    // Connecting.
    (
        "us_socket_context_connect",
        Tested(&["refused_is_told_once", "a_connect_comes_from_its_source"]),
    ),
    (
        "the first address of a name",
        Tested(&[
            "one_that_is_silent_costs_the_delay",
            "a_name_leads_to_the_address_that_answers",
        ]),
    ),
    (
        "us_socket_context_connect_unix",
        Tested(&["data_before_the_close_is_never_lost_by_who_connects"]),
    ),
    (
        "us_socket_close_connecting us_socket_is_established",
        Tested(&[
            "closing_before_open_makes_no_call",
            "a_connect_can_be_given_less_time",
        ]),
    ),
    (
        "writing before it opens",
        Tested(&["a_write_before_open_takes_nothing_and_open_still_comes"]),
    ),
    // Sockets.
    (
        "us_socket_write",
        Tested(&[
            "writing_until_full_in_on_writable_never_stalls",
            "a_slow_reader_gets_everything",
        ]),
    ),
    (
        "us_socket_write2",
        Tested(&["writing_vectored_until_full_never_stalls"]),
    ),
    (
        "us_socket_flush msg_more",
        Tested(&[
            "corked_writes_go_out_together_at_the_end",
            "a_cork_that_is_full_keeps_the_order",
        ]),
    ),
    (
        "us_socket_timeout us_socket_long_timeout",
        Tested(&["every_length_is_never_early_and_at_most_a_tick_late"]),
    ),
    (
        "a sweep over all sockets every 4 s",
        Different("timeouts in ticks"),
    ),
    (
        "us_socket_shutdown us_socket_is_shut_down",
        Tested(&[
            "we_still_receive_after_our_own_end",
            "bytes_with_the_end_after_our_own_end",
        ]),
    ),
    (
        "us_socket_shutdown_read",
        Different("`shutdown` of the reading side"),
    ),
    (
        "us_socket_is_closed us_socket_close",
        Tested(&[
            "a_stale_name_reaches_nobody",
            "what_was_taken_before_a_close_arrives",
        ]),
    ),
    (
        "us_socket_local_port us_socket_remote_port us_socket_remote_address",
        Tested(&[
            "a_mapped_peer_appears_as_ipv4",
            "a_connect_comes_from_its_source",
        ]),
    ),
    ("us_socket_send_buffer", Different("io_uring")),
    (
        "pausing and resuming",
        Tested(&[
            "pausing_holds_the_peer_up",
            "a_paused_socket_that_broke_delivers_what_came_and_closes",
        ]),
    ),
    (
        "32 bytes before and behind what was received",
        Different("room around received bytes"),
    ),
    // Adoption.
    (
        "us_socket_context_adopt_socket",
        Tested(&[
            "an_adopted_socket_keeps_its_name_and_timeout",
            "adopt_inside",
        ]),
    ),
    // Low priority.
    ("is_low_prio", Different("a queue of low priority")),
    (
        "handshakes do not hold up others",
        Tested(&[
            "a_firehose_does_not_starve_another_connection",
            "hellos_of_one_byte",
        ]),
    ),
    // UDP.
    (
        "us_create_udp_packet_buffer us_udp_buffer_set_packet_payload \
         us_udp_packet_buffer_payload us_udp_packet_buffer_payload_length",
        Different("packet buffers"),
    ),
    (
        "us_create_udp_socket us_udp_socket_bound_port",
        Tested(&[
            "a_datagram_arrives_whole_with_its_peer",
            "a_taken_address_is_told",
        ]),
    ),
    (
        "us_udp_socket_receive",
        Tested(&[
            "a_batch_arrives_in_order",
            "a_long_datagram_is_cut_and_says_so",
            "an_error_is_of_the_datagram_and_the_socket_goes_on",
        ]),
    ),
    (
        "us_udp_socket_send",
        Tested(&[
            "room_is_told_once_for_each_block",
            "a_bad_departure_is_named_and_the_others_go",
        ]),
    ),
    (
        "us_udp_packet_buffer_peer",
        Tested(&[
            "a_whole_ipv6_address_arrives",
            "both_families_meet_at_a_socket_of_ipv6",
        ]),
    ),
    (
        "us_udp_packet_buffer_local_ip us_udp_packet_buffer_ecn",
        Tested(&["control_messages_go_both_ways"]),
    ),
    (
        "us_udp_socket_bind",
        Tested(&["a_socket_is_told_and_closed_once", "a_port_is_not_shared"]),
    ),
    // TLS.
    (
        "key_file_name cert_file_name",
        Tested(&[
            "a_chain_and_its_key_are_used",
            "certificates_are_chosen_by_name_and_read_again",
        ]),
    ),
    ("passphrase", Different("keys behind a passphrase")),
    (
        "dh_params_file_name ssl_ciphers",
        Different("TLS 1.2, and options"),
    ),
    (
        "ca_file_name",
        Tested(&[
            "clients_by_policy_and_name",
            "a_client_refuses_a_server_with_another_name",
        ]),
    ),
    (
        "ssl_prefer_low_memory_usage",
        Tested(&["a_socket_is_small", "sizes_of_what_is_lent"]),
    ),
    ("TLS 1.2 at least", Different("TLS 1.2, and options")),
    (
        "one input and one output of a loop for all connections",
        Tested(&[
            "many_connections_with_little_memory",
            "streams_that_go_on_share_an_input",
        ]),
    ),
    (
        "reading until nothing is left, told at once",
        Tested(&[
            "short_messages_and_a_short_buffer",
            "a_slow_reader_gets_everything",
        ]),
    ),
    (
        "writing all of a record or nothing",
        Tested(&[
            "who_takes_nothing_gives_way_to_who_waits",
            "records_are_as_long_as_the_client_wants",
        ]),
    ),
    (
        "close_notify at a close, and of the peer's",
        Tested(&[
            "closing_says_goodbye",
            "an_end_without_close_notify_is_truncation",
            "we_still_receive_after_our_own_end",
        ]),
    ),
    (
        "errors of TLS",
        Tested(&["failures_are_told", "a_refused_certificate_is_told"]),
    ),
    (
        "us_socket_context_add_server_name",
        Tested(&[
            "names_choose_the_certificate",
            "what_cannot_be_used_is_told_at_the_start",
        ]),
    ),
    (
        "the client's certificate by the server's name",
        Tested(&["what_is_wanted_of_clients_goes_by_name"]),
    ),
    (
        "us_socket_context_remove_server_name \
         us_socket_context_find_server_name_userdata",
        Different("a tree of server names"),
    ),
    (
        "us_socket_server_name_userdata",
        Tested(&["both_ends_know_each_other"]),
    ),
    // Plug-ins.
    (
        "epoll",
        Tested(&["each_error_of_each_call_becomes_what_the_table_says"]),
    ),
    (
        "kqueue",
        Tested(&[
            "each_sequence_makes_its_reports",
            "no_event_says_more_or_less_than_it_means",
        ]),
    ),
    ("libuv", Different("a platform over libuv")),
    ("Grand Central Dispatch", Different("a platform over libuv")),
    ("Boost.Asio", Different("a platform over libuv")),
    ("io_uring", Different("io_uring")),
    (
        "WITH_OPENSSL and its like",
        Different("one plug-in for each build"),
    ),
    (
        "LIBUS_RECV_BUFFER_LENGTH",
        Tested(&["a_receive_buffer_of_one_byte_works"]),
    ),
    (
        "printing to the standard output",
        Different("lines printed"),
    ),
];

/// What the C library declares beyond µSockets.
const BEYOND: [&str; 6] = [
    "us_loop_fd",
    "us_loop_poll",
    "us_loop_statistics",
    "us_socket_close_reason",
    "us_udp_packet_buffer_free",
    "us_udp_socket_close",
];

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = repository().join("bindings/c/include/libusockets.h");
    let header = fs::read_to_string(header).unwrap();
    let calls = header.match_indices('(').map(|(at, _)| &header[..at]);
    calls
        .filter_map(|before| {
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            let name = &before[before.trim_end_matches(is_name).len()..];
            name.starts_with("us_").then(|| name.to_owned())
        })
        .collect()
}

#[test]
fn every_function_has_an_answer() {
    let answered: Vec<&str> = TABLE.iter().flat_map(|(what, _)| what.split(' ')).collect();
    for function in declared() {
        let count = answered.iter().filter(|one| **one == function).count();
        let expected = usize::from(!BEYOND.contains(&&*function));
        assert_eq!(count, expected, "{function}");
    }
}

#[test]
fn the_tests_are_there() {
    let functions = written::functions();
    let tests = functions.iter().filter(|function| function.is_test);
    let names: BTreeSet<&str> = tests.map(Function::name).collect();
    let mut wrong = Vec::new();
    for (what, answer) in TABLE {
        if let Tested(tests) = answer {
            assert!(!tests.is_empty(), "{what}");
            let missing = tests.iter().filter(|test| !names.contains(**test));
            wrong.extend(missing.map(|test| format!("{what}: {test}")));
        }
    }
    assert!(wrong.is_empty(), "no test: {wrong:#?}");
}

/// The rows of the table in a section of the README.
fn rows<'a>(readme: &'a str, title: &str) -> Vec<&'a str> {
    let (_, section) = readme.split_once(title).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .skip(1)
        .collect()
}

/// Whether this is written as a test is, `file::test`, and not as what a program uses.
fn names_a_test(code: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_meant = |letter: char| is_plain(letter) || "_/:".contains(letter);
    code.contains("::") && code.chars().all(is_meant) && !code.starts_with("usockets")
}

/// Each test that the README names anywhere is there, and each row of what is there names one, or a
/// program that runs tests.
#[test]
fn the_readme_names_tests_that_exist() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let tests = written::test_paths();
    let named: Vec<&str> = readme
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| names_a_test(code) && *code != "file::test")
        .collect();
    assert!(named.len() > 80, "{}", named.len());
    for test in named {
        assert!(tests.contains(test), "{test}");
    }
    let rows = rows(&readme, "## What is there");
    assert!(rows.len() > 25, "{}", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").collect();
        let [what, _, shown_by] = cells[..] else {
            panic!("{row}");
        };
        let named: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty() || what == "not yet", "{what}");
        for code in named {
            let is_file = repository().join(code).is_file();
            assert!(is_file || tests.contains(code), "{what}: {code}");
        }
    }
}

#[test]
fn what_differs_is_in_the_readme_and_nothing_else() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let rows = rows(&readme, "## Deliberately different from µSockets");
    let answers = || {
        TABLE.iter().filter_map(|(what, answer)| match answer {
            Different(row) => Some((what, *row)),
            Tested(_) => None,
        })
    };
    for (what, begins) in answers() {
        let count = rows.iter().filter(|row| row.starts_with(begins)).count();
        assert_eq!(count, 1, "{what}: {begins}");
    }
    for row in rows {
        assert!(
            answers().any(|(_, begins)| row.starts_with(begins)),
            "{row}"
        );
    }
}
