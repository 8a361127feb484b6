//! Copies of the platform, each of which breaks one rule of the contract: the suite notices every
//! one, by the test that the guide names. The copy that breaks none passes them.

#[macro_use]
mod copies;

use std::panic::{AssertUnwindSafe, catch_unwind};

use outside::wire;
use usockets_conformance::Bed;
use usockets_conformance::suite::{
    back_pressure, broken_connections, connect_errors, contract, foreign_loops, half_close,
    write_before_open,
};

/// Returns what a test says of a platform, if it fails.
fn failure<B: Bed>(test: fn(&mut B), mut bed: B) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| test(&mut bed))).err()?;
    let said = panic.downcast_ref::<String>().cloned();
    said.or_else(|| panic.downcast_ref::<&str>().map(|said| said.to_string()))
}

/// Holds a broken copy to a test, which fails and says what it does, and the sound one, which
/// passes.
macro_rules! noticed {
    ($($copy:ident: $subject:ident::$test:ident, $words:literal;)*) => {
        copies!(pipes $($copy)*);

        $(
            #[test]
            fn $copy() {
                assert_eq!(failure($subject::$test, pipes::bed::pipes()), None);
                let said = failure($subject::$test, $copy::bed::pipes());
                let said = said.expect("a platform that is broken passed");
                assert!(said.contains($words), "{said}");
            }
        )*
    };
}

noticed! {
    reports_as_much_as_there_is:
        foreign_loops::more_ready_sockets_than_one_wait_holds_are_all_served,
        "one poll gave more than 64 reports";
    reports_without_end:
        foreign_loops::more_ready_sockets_than_one_wait_holds_are_all_served,
        "one poll gave more than 64 reports";
    forgets_facts_from_before_accept:
        write_before_open::closing_before_open_makes_no_call,
        "who came and went does not close";
    tells_of_the_end_before_the_bytes: half_close::bytes_before_the_end_come_first,
        "bytes before the end are missing";
    keeps_its_error_until_all_is_read:
        broken_connections::a_paused_socket_that_broke_delivers_what_came_and_closes,
        "it did not come about";
    opens_beyond_its_backlog: connect_errors::a_connect_can_be_given_less_time,
        "some were not answered";
    forgets_who_waits:
        contract::who_waits_is_reported_when_accepting_goes_on,
        "who waits is not reported, the first time";
    forgets_that_room_came_back: back_pressure::a_slow_reader_gets_everything,
        "it did not come about";
}
