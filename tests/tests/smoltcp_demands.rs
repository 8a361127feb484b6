//! What a stack demands of the memory and the configuration it is started with: which of it is not
//! met is told.

use usockets::Error;
use usockets_smoltcp::{
    Address, Block, CLASSES_MAX, Capabilities, Config, Demand, Faults, InFlight, Listener, Medium,
    Memory, Neighbour, Outstanding, Resting, Secret, SizeClass, Slot, Stack, Working,
};
use usockets_tests::smoltcp::{MTU, leak, mac, wire};

/// How many of everything a stack gets.
#[derive(Clone)]
struct Given {
    addresses: Vec<Address>,
    classes: Vec<SizeClass>,
    slots: usize,
    working: usize,
    resting: usize,
    in_flight: usize,
    bytes: usize,
    outstanding: usize,
    ranges: usize,
    buckets: usize,
    scratch: usize,
}

impl Given {
    /// Just enough.
    fn enough() -> Self {
        let classes = vec![
            SizeClass::new(4, 1_024, 2_048),
            SizeClass::new(8, 512, 512).leased(4),
        ];
        let sum = |of: fn(&SizeClass) -> usize| classes.iter().map(of).sum();
        Self {
            addresses: vec![Address::new([10, 0, 0, 1].into(), 24)],
            slots: 12,
            working: sum(SizeClass::working_len),
            resting: sum(SizeClass::resting_len),
            in_flight: sum(SizeClass::in_flight_len),
            bytes: sum(SizeClass::bytes),
            outstanding: sum(SizeClass::outstanding_len),
            ranges: sum(SizeClass::ranges_len),
            buckets: 1,
            scratch: Capabilities::new(Medium::Ethernet, MTU).frame_max(),
            classes,
        }
    }

    /// Starts a stack; returns what is said to be unmet before, and what came of it.
    fn start(&self) -> (Option<Demand>, Result<(), Error>) {
        let (_, [device, _]) = wire(Faults::NONE, 1, Medium::Ethernet);
        let config = Config::new(mac(1), &self.addresses, Secret::new([1; 16]));
        let memory = Memory {
            slots: leak(self.slots, || Slot::EMPTY),
            working: leak(self.working, || Working::EMPTY),
            resting: leak(self.resting, || Resting::EMPTY),
            in_flight: leak(self.in_flight, || InFlight::EMPTY),
            bytes: leak(self.bytes, || 0),
            outstanding: leak(self.outstanding, || Outstanding::EMPTY),
            ranges: leak(self.ranges, || Block::EMPTY),
            buckets: leak(self.buckets, || 0),
            listeners: leak(1, || Listener::EMPTY),
            neighbours: leak(1, || Neighbour::EMPTY),
            scratch: leak(self.scratch, || 0),
        };
        let capabilities = Capabilities::new(Medium::Ethernet, MTU);
        let unmet = Demand::unmet(&capabilities, &config, &memory, &self.classes);
        (
            unmet,
            Stack::idle(device).start(&config, memory, &self.classes),
        )
    }
}

/// What is not met, and how that comes.
type Change<'a> = (Demand, &'a dyn Fn(&mut Given));

#[test]
fn what_is_not_met_is_told() {
    assert_eq!(Given::enough().start(), (None, Ok(())));
    let too_many = Address::new([10, 0, 0, 2].into(), 24);
    let changes: [Change<'_>; 14] = [
        (Demand::Addresses, &|given| {
            given.addresses = vec![too_many; 9]
        }),
        (Demand::Addresses, &|given| {
            given.addresses[0] = Address::new([224, 0, 0, 1].into(), 24);
        }),
        (Demand::Classes, &|given| {
            given.classes = vec![SizeClass::new(1, 64, 64); CLASSES_MAX + 1];
        }),
        (Demand::Classes, &|given| given.classes[0].recv = 0),
        (Demand::Slots, &|given| given.slots -= 1),
        (Demand::Working, &|given| given.working -= 1),
        (Demand::Resting, &|given| given.resting -= 1),
        (Demand::InFlight, &|given| given.in_flight -= 1),
        (Demand::Bytes, &|given| given.bytes -= 1),
        (Demand::Outstanding, &|given| given.outstanding -= 1),
        (Demand::Ranges, &|given| given.ranges -= 1),
        (Demand::Buckets, &|given| given.buckets = 0),
        (Demand::Scratch, &|given| given.scratch -= 1),
        (Demand::Scratch, &|given| given.scratch = 0),
    ];
    for (demand, change) in changes {
        let mut given = Given::enough();
        change(&mut given);
        assert_eq!(given.start(), (Some(demand), Err(Error::Invalid)));
    }
}

#[test]
fn what_a_device_must_be_is_told() {
    let given = Given::enough();
    let sound = Capabilities::new(Medium::Ethernet, MTU);
    let config = Config::new(mac(1), &given.addresses, Secret::new([1; 16]));
    let unmet = |device: Capabilities| {
        let memory = Memory {
            slots: leak(12, || Slot::EMPTY),
            working: leak(given.working, || Working::EMPTY),
            resting: leak(given.resting, || Resting::EMPTY),
            in_flight: leak(given.in_flight, || InFlight::EMPTY),
            bytes: leak(given.bytes, || 0),
            outstanding: leak(given.outstanding, || Outstanding::EMPTY),
            ranges: leak(given.ranges, || Block::EMPTY),
            buckets: leak(1, || 0),
            listeners: &mut [],
            neighbours: &mut [],
            scratch: leak(100_000, || 0),
        };
        Demand::unmet(&device, &config, &memory, &given.classes)
    };
    assert_eq!(unmet(sound), None);
    assert_eq!(unmet(sound.fills(true).segment_max(65_535)), None);
    assert_eq!(unmet(sound.segment_max(65_535)), Some(Demand::Segments));
    let short = sound.fills(true).segment_max(MTU - 1);
    assert_eq!(unmet(short), Some(Demand::Segments));
    assert_eq!(
        unmet(Capabilities::new(Medium::Ethernet, 500)),
        Some(Demand::Mtu)
    );
}
