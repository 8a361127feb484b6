//! A stack that is made idle, started where it is, and lent to its loop.

use usockets::{
    Duration, Endpoint, Error, Handler, Instant, Loop, Opened, Platform, Socket, Sockets,
};
use usockets_smoltcp::{Faults, Medium, Stack};
use usockets_tests::smoltcp::{Recipe, a4, wire};

/// A program that does nothing of its own.
struct Silent;

impl<P: Platform> Handler<P> for Silent {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}
}

#[test]
fn an_idle_stack_does_nothing() {
    let (_, [device, _]) = wire(Faults::NONE, 1, Medium::Ethernet);
    let mut stack = Stack::idle(device);
    assert_eq!(stack.free_count(), 0);
    let (mut sockets, mut buffer) = (Sockets::<_, Silent, 2>::new(), [0; 64]);
    let mut server = Loop::new(&mut stack, &mut sockets, &mut buffer);
    assert!(server.net().listen(Endpoint::tcp(a4(80)), ()).is_err());
    server.net().connect(Endpoint::tcp(a4(80)), ()).unwrap();
    server.poll(&mut Silent, Some(Instant::ZERO)).unwrap();
    assert_eq!((server.stats().failed, server.stats().in_use), (1, 0));
}

#[test]
fn a_stack_is_started_once() {
    let (_, [device, _]) = wire(Faults::NONE, 1, Medium::Ethernet);
    let mut stack = Stack::idle(device);
    Recipe::new(1).start(&mut stack).unwrap();
    assert_eq!(stack.free_count(), 64);
    assert_eq!(Recipe::new(1).start(&mut stack), Err(Error::Invalid));
    assert_eq!(stack.free_count(), 64);
}

#[test]
fn a_lent_stack_connects() {
    let (wire, [here, there]) = wire(Faults::NONE, 1, Medium::Ethernet);
    let (mut here, mut there) = (Stack::idle(here), Stack::idle(there));
    Recipe::new(1).start(&mut here).unwrap();
    Recipe::new(2).start(&mut there).unwrap();
    let (mut sockets, mut buffer) = (Sockets::<_, Silent, 2>::new(), [0; 64]);
    let mut server = Loop::new(&mut here, &mut sockets, &mut buffer);
    server.net().listen(Endpoint::tcp(a4(80)), ()).unwrap();
    let (mut sockets, mut buffer) = (Sockets::<_, Silent, 1>::new(), [0; 64]);
    let mut client = Loop::new(&mut there, &mut sockets, &mut buffer);
    client.net().connect(Endpoint::tcp(a4(80)), ()).unwrap();
    for _ in 0..100 {
        client.poll(&mut Silent, Some(Instant::ZERO)).unwrap();
        server.poll(&mut Silent, Some(Instant::ZERO)).unwrap();
        wire.pass(Duration::from_millis(1));
    }
    assert_eq!((client.stats().connected, server.stats().accepted), (1, 1));
    assert_eq!(server.platform().free_count(), 63);
}
