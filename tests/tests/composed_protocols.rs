//! Protocols composed in one loop.

use usockets_tests::bed::on_sim;
use usockets_tests::behaviour::composed_protocols::{
    a_handler_takes_in_a_protocol_by_itself as takes_in_a_protocol,
    a_part_closes_and_counts_its_own_only, a_part_moves_its_own_sockets_only,
    a_part_reaches_its_own_sockets_only, each_socket_is_its_protocols,
    every_call_goes_to_its_part as goes_to_its_part,
    timers_and_failures_go_to_the_part_they_are_of,
    what_is_left_out_goes_by_default as goes_by_default,
};
use usockets_tests::on_every_platform;

on_every_platform!(
    each_socket_is_its_protocols,
    a_part_closes_and_counts_its_own_only,
    timers_and_failures_go_to_the_part_they_are_of,
    a_part_reaches_its_own_sockets_only,
    a_part_moves_its_own_sockets_only,
);

#[test]
fn a_handler_takes_in_a_protocol_by_itself() {
    on_sim(takes_in_a_protocol);
}

#[test]
fn every_call_goes_to_its_part() {
    on_sim(goes_to_its_part);
}

#[test]
fn what_is_left_out_goes_by_default() {
    on_sim(goes_by_default);
}
