//! A program that waits elsewhere keeps a stack's own deadlines, since `next_deadline` tells them.

use usockets::{Duration, Endpoint, Error, Instant, Platform, SocketId};
use usockets_smoltcp::{Faults, Medium};
use usockets_tests::smoltcp::{Net, Recipe, b4, wire};

/// A SYN that nobody answers is sent as often as under a loop of the stack's own.
#[test]
fn a_syn_is_sent_again_under_a_loop_that_waits_elsewhere() {
    let mut recipe = Recipe::new(1);
    recipe.medium = Medium::Ip;
    let (wire, [near, _far]) = wire(Faults::NONE, 1, Medium::Ip);
    let mut stack = recipe.build(near);
    let mut socket = Net::CLOSED;
    let id = SocketId::from_bits(1 << 32).unwrap();
    let start = wire.now();
    stack
        .connect(&mut socket, id, &Endpoint::tcp(b4(80)))
        .unwrap();
    let error = loop {
        stack.poll(Some(Instant::ZERO)).unwrap();
        if stack.next_ready().is_some() {
            break stack.take_error(&mut socket);
        }
        let next = stack.next_deadline().expect("a connect has a limit");
        wire.pass(next.saturating_since(wire.now()));
        assert!(wire.now().saturating_since(start) < Duration::from_secs(11));
    };
    assert_eq!(error, Some(Error::TimedOut));
    assert_eq!(wire.flying_count(), 4, "SYNs at 0, 1, 3 and 7 s");
}
