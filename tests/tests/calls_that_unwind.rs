//! A handler call that unwinds, by a panic or by an exception of a program in C++, and a program
//! that goes on with the loop: nothing is lost, told twice or left behind.

use usockets_tests::behaviour::calls_that_unwind::{
    a_paused_socket_is_not_read_for_one_whose_call_unwound, the_loop_goes_on_after_every_call,
    the_loop_goes_on_although_every_call_unwinds_once,
};
use usockets_tests::on_every_platform;

on_every_platform!(
    the_loop_goes_on_after_every_call,
    the_loop_goes_on_although_every_call_unwinds_once,
    a_paused_socket_is_not_read_for_one_whose_call_unwound,
);
