//! The conformance suite, and more tests of its kind, on networks that bytes decide about.

use usockets_conformance::{conformance, conformance_of_datagrams, hold};

use crate::bed::{LentBed, SimBed};
#[cfg(target_os = "linux")]
use crate::bed::{ProxiedBed, rough_before_proxies};
use crate::behaviour::{calls_that_unwind, composed_protocols};
use crate::sim::{Faults, Sim};

/// A test of the suite, and its name.
type Test<B> = (&'static str, fn(&mut B));

/// Runs a test on a network. The first byte chooses the platform: the network's hosts, smooth or
/// rough, hosts that are lent and do the least, or hosts behind proxies; the second the test, the
/// third the network's seed; the others are what it draws first.
///
/// # Panics
/// The test fails.
pub fn fuzz_suite(bytes: &[u8]) {
    let Some(([platform, test, seed], draws)) = bytes.split_first_chunk() else {
        return;
    };
    let (test, seed) = (usize::from(*test), u64::from(*seed));
    let bed = |faults| SimBed {
        sim: Sim::with_bytes(seed, draws.to_vec(), faults),
    };
    match platform % 4 {
        0 => run(&mut bed(Faults::none()), &of_hosts(), test),
        1 => run(&mut bed(Faults::rough(seed)), &of_hosts(), test),
        2 => {
            let tests = conformance!(table LentBed);
            run(&mut LentBed::new(bed(Faults::rough(seed))), &tests, test);
        }
        #[cfg(target_os = "linux")]
        _ => {
            let mut hosts = bed(rough_before_proxies(seed));
            run(&mut ProxiedBed::new(&mut hosts), &behind_proxies(), test);
        }
        #[cfg(not(target_os = "linux"))]
        _ => {}
    }
}

fn run<B: crate::bed::Bed>(bed: &mut B, tests: &[Test<B>], number: usize) {
    let (name, test) = tests[number % tests.len()];
    hold(name, bed, test);
}

/// Returns those of hosts behind proxies.
#[cfg(target_os = "linux")]
fn behind_proxies<'b>() -> Vec<Test<ProxiedBed<'b, SimBed>>> {
    Vec::from(conformance!(table ProxiedBed<'b, SimBed>))
}

/// Returns the tests of hosts of a simulated network.
fn of_hosts() -> Vec<Test<SimBed>> {
    let behaviour: [Test<SimBed>; 10] = [
        (
            "each_socket",
            composed_protocols::each_socket_is_its_protocols,
        ),
        (
            "a_part_closes",
            composed_protocols::a_part_closes_and_counts_its_own_only,
        ),
        (
            "timers_go",
            composed_protocols::timers_and_failures_go_to_the_part_they_are_of,
        ),
        (
            "a_part_reaches",
            composed_protocols::a_part_reaches_its_own_sockets_only,
        ),
        (
            "every_call_of_a_part",
            composed_protocols::every_call_goes_to_its_part,
        ),
        (
            "left_out",
            composed_protocols::what_is_left_out_goes_by_default,
        ),
        (
            "takes_in",
            composed_protocols::a_handler_takes_in_a_protocol_by_itself,
        ),
        (
            "every_call",
            calls_that_unwind::the_loop_goes_on_after_every_call,
        ),
        (
            "once_each",
            calls_that_unwind::the_loop_goes_on_although_every_call_unwinds_once,
        ),
        (
            "paused",
            calls_that_unwind::a_paused_socket_is_not_read_for_one_whose_call_unwound,
        ),
    ];
    let mut tests = Vec::from(conformance!(table SimBed));
    tests.extend(conformance_of_datagrams!(table SimBed));
    tests.extend(behaviour);
    tests
}
