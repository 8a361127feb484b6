//! The memory of a whole program as a constant.

use usockets::{Budget, Buffer, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_smoltcp::{Block, InFlight, Outstanding, Resting, SizeClass, Slot, Working};
use usockets_tests::sim::Host;

/// Keeps a buffer for each connection.
struct Keep;

impl<P: Platform> Handler<P> for Keep {
    type Ext = Buffer<100>;
    type Context = ();
    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Buffer<100> {
        Buffer::EMPTY
    }
    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Buffer<100>, _: &mut [u8]) {}
}

/// A sum of all parts, of which the compiler knows that it is enough.
const MEMORY: Budget = Budget::of::<Sockets<Host, Keep, 64>>()
    .and(Budget::of::<Loop<'_, Host, Keep>>())
    .and(Budget::of::<[u8; 32]>().times(64))
    .and(Budget::NONE);

const _: () = assert!(MEMORY.bytes() <= 64 * 1024);

#[test]
fn a_budget_is_the_sum_of_its_parts() {
    let sum = size_of::<Sockets<Host, Keep, 64>>() + size_of::<Loop<'_, Host, Keep>>() + 64 * 32;
    assert_eq!(MEMORY.bytes(), sum);
    assert_eq!(Budget::default(), Budget::NONE);
    assert_eq!(Budget::NONE.bytes(), 0);
}

/// A sum that no `usize` holds is over every bound.
#[test]
fn too_much_is_never_little() {
    let half = Budget::of::<u8>().times(usize::MAX / 2 + 1);
    assert_eq!(half.and(half).bytes(), usize::MAX);
    assert_eq!(half.times(3).bytes(), usize::MAX);
    assert_eq!(half.times(0), Budget::NONE);
}

/// What a class of a stack takes is what the caller hands over for it.
#[test]
fn a_class_takes_what_its_memory_has() {
    for class in [
        SizeClass::new(8, 1024, 512).outstanding(4).ranges(2),
        SizeClass::new(3, 65_536, 16_384),
        SizeClass::new(0, 1, 1),
        SizeClass::new(1_000, 16_384, 16_384).leased(10),
    ] {
        let sum = class.connections * (size_of::<Slot>() + size_of::<u32>())
            + class.working_len() * size_of::<Working>()
            + class.resting_len() * size_of::<Resting>()
            + class.in_flight_len() * size_of::<InFlight>()
            + class.bytes()
            + class.outstanding_len() * size_of::<Outstanding>()
            + class.ranges_len() * size_of::<Block>();
        assert_eq!(class.budget().bytes(), sum);
    }
}
