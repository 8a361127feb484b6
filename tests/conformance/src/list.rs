//! Which tests there are, and the macro that makes them those of a platform.

/// Holds a platform to the whole suite: each of its tests becomes a `#[test]` in a module of the
/// test's subject.
///
/// Takes a function that makes a [`Bed`](crate::Bed):
///
/// ```ignore
/// usockets_conformance::conformance!(my_bed);
/// ```
///
/// `conformance!(with on_my_platform)` takes a function that runs a test instead, such as
/// `fn on_my_platform(mut test: impl FnMut(&mut MyBed))`: more than once, on several networks, or
/// in a thread with a larger stack.
///
/// `conformance!(table MyBed)` is an array instead: the name of each test, and the test, for what
/// chooses among them, such as a fuzzer.
///
/// A test that the bed leaves out ([`Bed::exceptions`](crate::Bed::exceptions)) passes, and says
/// why. The modules may be put into one of yours, so that a second platform has its own.
#[macro_export]
macro_rules! conformance {
    (@test (with $run:path) $subject:ident $name:ident) => {
        #[test]
        fn $name() {
            $run(|bed| $crate::hold(stringify!($name), bed, $crate::suite::$subject::$name));
        }
    };
    (@test (bed $bed:path) $subject:ident $name:ident) => {
        #[test]
        fn $name() {
            $crate::hold(stringify!($name), &mut $bed(), $crate::suite::$subject::$name);
        }
    };
    (@subjects (table $bed:ty) $($subject:ident: $($name:ident,)*;)*) => {
        [$($(
            (stringify!($name), $crate::suite::$subject::$name as fn(&mut $bed)),
        )*)*]
    };
    (@subjects $how:tt $($subject:ident: $($name:ident,)*;)*) => {$(
        mod $subject {
            #[allow(unused_imports, reason = "a path that starts elsewhere needs none of it")]
            use super::*;

            $($crate::conformance! { @test $how $subject $name })*
        }
    )*};
    (@all $how:tt) => {
        $crate::conformance! {
            @subjects $how
            addresses:
                a_mapped_peer_appears_as_ipv4,
                a_v6_only_listener_takes_no_ipv4,
                a_connect_comes_from_its_source,
                a_shared_port_is_opt_in,
                ;
            back_pressure:
                writing_until_full_in_on_writable_never_stalls,
                writing_vectored_until_full_never_stalls,
                a_full_socket_does_not_stall_another,
                a_short_write_promises_one_on_writable,
                a_slow_reader_gets_everything,
                ;
            broken_connections:
                a_paused_socket_that_broke_delivers_what_came_and_closes,
                a_reset_that_comes_with_bytes_is_told_though_they_paused,
                a_peers_end_waits_for_a_paused_socket,
                ;
            calls_inside_calls:
                close_self_inside,
                close_a_peer_inside,
                abort_a_peer_inside,
                close_all_inside,
                close_all_of_the_others_inside,
                adopt_inside,
                connect_inside,
                listen_inside,
                stop_listening_inside,
                rearm_inside,
                write_and_finish_inside,
                start_and_stop_timers_inside,
                ;
            closing_data:
                links_in_the_data_hold_in_a_mass_close,
                ;
            connect_errors:
                refused_is_told_once,
                a_connect_can_be_given_less_time,
                reset_is_told_as_reset,
                what_is_wrong_here_is_told_at_once,
                ;
            contexts:
                all_of_a_context_close_and_no_others,
                what_on_close_connects_stays,
                an_adopted_socket_keeps_its_name_and_timeout,
                a_group_is_counted_written_to_and_visited,
                ;
            contract:
                sockets_end_in_every_way,
                an_accept_that_finds_none_leaves_the_slot_closed,
                who_waits_is_reported_when_accepting_goes_on,
                a_reset_is_no_end,
                what_came_before_an_error_while_connecting_is_delivered,
                ;
            cork:
                corked_writes_go_out_together_at_the_end,
                a_cork_that_is_full_keeps_the_order,
                vectored_writes_larger_than_the_cork_keep_the_order,
                finish_waits_for_the_cork,
                another_cork_sends_the_first,
                closing_sends_the_cork_first,
                ;
            delivery_before_close:
                bytes_and_end_of_a_peer_that_closed_come_in_order,
                bytes_with_the_end_after_our_own_end,
                a_failed_write_still_delivers_what_came_before,
                what_was_taken_before_a_close_arrives,
                a_peer_that_reads_nothing_keeps_no_slot,
                ;
            draining:
                what_has_arrived_is_answered,
                listeners_stop,
                the_time_is_bounded,
                it_can_be_cut_short,
                it_sleeps_meanwhile,
                ;
            fairness:
                a_firehose_does_not_starve_another_connection,
                a_flood_of_connections_does_not_starve_an_open_one,
                a_socket_that_was_read_often_may_close_by_itself,
                ;
            foreign_loops:
                more_ready_sockets_than_one_wait_holds_are_all_served,
                timers_come_and_nothing_else_does,
                ;
            full_pool:
                a_full_pool_pauses_the_listener_and_loses_nobody,
                a_full_pool_refuses_if_asked_to,
                a_full_pool_evicts_the_idlest_if_asked_to,
                a_pool_of_one_slot_works,
                ;
            half_close:
                both_ends_close_in_order,
                bytes_before_the_end_come_first,
                we_still_receive_after_our_own_end,
                the_end_comes_once,
                ;
            listeners_take_turns:
                paused_listeners_get_free_slots_in_turn,
                an_evicting_listener_gets_the_slot_it_freed,
                nobody_is_refused_while_a_slot_is_free,
                ;
            memory:
                a_receive_buffer_of_one_byte_works,
                no_receive_buffer_is_an_error,
                ;
            on_demand:
                all_bytes_and_the_end_are_read_into_the_programs_memory,
                the_program_is_told_once_until_it_has_read_all,
                bytes_before_a_reset_stay_readable,
                a_socket_that_is_not_open_cannot_be_read,
                the_loop_reads_again_when_the_program_no_longer_wants_to,
                a_paused_socket_is_not_told_of,
                ;
            pre_open:
                the_peer_and_the_listener_are_known,
                who_is_refused_is_reset_and_takes_no_slot,
                a_refusal_of_all_does_not_spin,
                ;
            slots_at_capacity:
                a_failed_connect_can_be_tried_elsewhere_in_a_full_pool,
                the_last_call_of_a_socket_can_connect_in_its_slot,
                a_one_shot_timer_restarts_itself_in_a_pool_of_one,
                a_moved_timer_takes_no_other_slot,
                accepting_leaves_the_reserve,
                a_listener_has_no_more_connections_than_it_may,
                a_listener_at_its_cap_evicts_its_own,
                a_paused_listener_loses_nobody,
                ;
            stale_names:
                a_stale_name_reaches_nobody,
                stale_names_of_listeners_and_timers_do_nothing,
                ;
            stats:
                everything_is_counted,
                pausing_holds_the_peer_up,
                ;
            timeouts:
                short_timeouts_are_never_early,
                putting_off_costs_no_list_work,
                a_timeout_comes_once_and_zero_disarms,
                ;
            timers:
                a_timer_fires_once,
                a_repeating_timer_does_not_drift,
                a_stopped_timer_never_fires,
                timers_take_slots_and_give_them_back,
                ;
            write_before_open:
                a_write_before_open_takes_nothing_and_open_still_comes,
                closing_before_open_makes_no_call,
                other_calls_before_open_do_no_harm,
                ;
        }
    };
    (with $run:path) => { $crate::conformance! { @all (with $run) } };
    (table $bed:ty) => { $crate::conformance! { @all (table $bed) } };
    ($bed:path) => { $crate::conformance! { @all (bed $bed) } };
}

/// Holds a platform that has datagrams ([`Datagrams`](usockets::Datagrams)) to the tests of them,
/// beside [`conformance!`](crate::conformance). Takes what that takes:
///
/// ```ignore
/// usockets_conformance::conformance_of_datagrams!(my_bed);
/// ```
#[macro_export]
macro_rules! conformance_of_datagrams {
    (@all $how:tt) => {
        $crate::conformance! {
            @subjects $how
            datagrams:
                a_datagram_arrives_whole_with_its_peer,
                a_batch_arrives_in_order,
                an_empty_datagram_is_one,
                a_long_datagram_is_cut_and_says_so,
                what_a_batch_leaves_is_told_again,
                on_readable_comes_once_until_it_is_received,
                a_run_is_split,
                a_fixed_peer_needs_no_address_and_is_alone,
                an_error_is_of_the_datagram_and_the_socket_goes_on,
                errors_that_sends_meet_are_told,
                a_socket_receives_after_errors,
                errors_that_nobody_takes_do_no_harm,
                a_socket_is_told_and_closed_once,
                a_socket_closes_inside_its_own_call,
                a_socket_closes_inside_any_call,
                a_socket_closed_before_it_is_told_makes_no_call,
                a_timeout_comes_and_does_not_close,
                streams_calls_do_nothing,
                room_is_told_once_for_each_block,
                a_bad_departure_is_named_and_the_others_go,
                both_families_meet_at_a_socket_of_ipv6,
                a_taken_address_is_told,
                ids_of_others_are_refused,
                ;
        }
    };
    (with $run:path) => {
        $crate::conformance_of_datagrams! { @all (with $run) }
    };
    (table $bed:ty) => {
        $crate::conformance_of_datagrams! { @all (table $bed) }
    };
    ($bed:path) => {
        $crate::conformance_of_datagrams! { @all (bed $bed) }
    };
}
