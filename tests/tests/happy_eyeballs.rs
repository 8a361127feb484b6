//! Connecting to the first of several addresses that answers, with the times of RFC 8305. In
//! virtual time.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use usockets::{Connecting, Endpoint, Error, HappyEyeballs};
use usockets_tests::bed::{Bed, SimBed, on_sim};
use usockets_tests::script::Event;
use usockets_tests::side::{Side, run_for, run_until};
use usockets_tests::sim::{Faults, Host};

type Eyeballs = HappyEyeballs<6>;

/// One tick of the wheel, by which a timer may be late, in microseconds.
const TICK: u64 = 1_024;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What the program would do besides: nothing, as the handler of the client passes on what it is
/// told.
fn drive(client: &mut Side<Host>, addrs: &[SocketAddr]) -> Rc<RefCell<(Eyeballs, Connecting)>> {
    let to = Endpoint::tcp(addr("0.0.0.0:0"));
    let mut eyeballs = Eyeballs::new(addrs);
    let now = eyeballs.start(&mut client.net(), to, 2);
    let shared = Rc::new(RefCell::new((eyeballs, now)));
    let told = shared.clone();
    client.script.act(move |at, event| {
        let (eyeballs, now) = &mut *told.borrow_mut();
        match *event {
            Event::Open(id, ..) => assert!(eyeballs.on_open(at.net(), id)),
            Event::ConnectError(id, _, error) => {
                *now = eyeballs.on_connect_error(at.net(), to, 2, id, error);
            }
            Event::Timer(timer, _) => *now = eyeballs.on_timer(at.net(), to, 2, timer),
            _ => {}
        }
    });
    shared
}

/// A listener that lets those who connect wait: its queue is full, and it takes none.
fn silent(bed: &mut SimBed, side: &mut Side<Host>, client: &mut Side<Host>) -> SocketAddr {
    let at = Endpoint::tcp(bed.addr(side.host)).backlog(1);
    let (listener, addr) = side.listen_at(at, 9);
    side.net().pause_listening(listener);
    let mut fillers = Vec::new();
    for _ in 0..4 {
        fillers.push(client.connect(addr, 8).unwrap());
    }
    run_for(bed, &mut [side, client], Duration::from_millis(100));
    addr
}

#[test]
fn families_take_turns_beginning_with_the_first() {
    let [a, b, c] = ["[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8::3]:3"].map(addr);
    let [x, y] = ["192.0.2.1:1", "192.0.2.2:2"].map(addr);
    let order = |addrs: &[SocketAddr]| Eyeballs::new(addrs).addrs().collect::<Vec<_>>();
    assert_eq!(order(&[a, b, c, x, y]), [a, x, b, y, c]);
    assert_eq!(order(&[x, y, a, b]), [x, a, y, b]);
    assert_eq!(order(&[a, b, c]), [a, b, c]);
    assert_eq!(order(&[]), []);
    assert_eq!(
        order(&[a, b, c, a, b, c, x, y]),
        [a, x, b, y, c, a],
        "no more than it holds"
    );
}

#[test]
fn the_first_that_answers_is_the_only_one() {
    on_sim(|bed| {
        let mut server = Side::new(bed, 0);
        let mut client = Side::new(bed, 1);
        let (_, one) = server.listen(bed, 1);
        let (_, two) = server.listen(bed, 1);
        drive(&mut client, &[one, two]);
        let long = bed.long();
        let both = &mut [&mut server, &mut client];
        assert!(run_until(bed, both, long, |sides| sides[1].lp.stats().open == 1));
        run_for(bed, both, Duration::from_secs(5));
        let stats = both[1].lp.stats();
        // No timer is left either. On a slow network a second attempt may have been under way.
        assert_eq!((stats.open, stats.in_use, stats.connected), (1, 1, 1));
    });
}

/// An address at which nobody answers holds up the next by the delay, and no longer.
#[test]
fn one_that_is_silent_costs_the_delay() {
    let bed = &mut SimBed::new(0, Faults::none());
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let one = silent(bed, &mut server, &mut client);
    let (_, two) = server.listen(bed, 1);
    let before = client.lp.stats().in_use;
    let opened = client.lp.stats().connected;
    let start = client.net().now().as_micros();
    drive(&mut client, &[one, two]);
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| sides[1]
        .lp
        .stats()
        .connected
        == opened + 1));
    let log = &both[1].script.log;
    let (at, _) = log
        .iter()
        .rfind(|(_, event)| matches!(event, Event::Open(..)))
        .unwrap();
    let after = at.as_micros() - start;
    assert!(
        (250_000..250_000 + 2 * TICK + 10_000).contains(&after),
        "{after} µs"
    );
    run_for(bed, both, Duration::from_millis(500));
    assert_eq!(
        both[1].lp.stats().in_use,
        before + 1,
        "the silent one was closed"
    );
}

/// One that refuses is followed by the next at once.
#[test]
fn one_that_refuses_costs_no_delay() {
    let bed = &mut SimBed::new(0, Faults::none());
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let (gone, nobody) = server.listen(bed, 1);
    server.net().stop_listening(gone);
    let unreachable = addr("203.0.113.7:80");
    let (_, last) = server.listen(bed, 1);
    let start = client.net().now().as_micros();
    drive(&mut client, &[nobody, unreachable, last]);
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| sides[1].lp.stats().open == 1));
    let (at, _) = both[1].script.log.last().unwrap();
    assert!(at.as_micros() - start < 100_000, "{at:?}");
    let errors = both[1]
        .script
        .count(|event| matches!(event, Event::ConnectError(..)));
    assert_eq!(errors, 2);
}

#[test]
fn when_all_fail_the_last_error_is_told() {
    on_sim(|bed| {
        let mut server = Side::new(bed, 0);
        let mut client = Side::new(bed, 1);
        let (gone, nobody) = server.listen(bed, 1);
        server.net().stop_listening(gone);
        let shared = drive(&mut client, &[nobody, addr("203.0.113.7:80")]);
        let long = bed.long();
        let both = &mut [&mut server, &mut client];
        assert!(run_until(bed, both, long, |_| {
            matches!(shared.borrow().1, Connecting::Failed(_))
        }));
        let Connecting::Failed(error) = shared.borrow().1 else {
            unreachable!();
        };
        assert!(
            matches!(error, Error::Refused | Error::Unreachable),
            "{error}"
        );
        assert_eq!(both[1].lp.stats().in_use, 0);
    });
    let bed = &mut SimBed::new(0, Faults::none());
    let mut client = Side::new(bed, 0);
    let none = drive(&mut client, &[]);
    assert_eq!(none.borrow().1, Connecting::Failed(Error::Invalid));
}

/// Each attempt takes a slot, and so does the timer: with too few it goes on one by one.
#[test]
fn a_full_pool_holds_up_attempts_and_loses_none() {
    let bed = &mut SimBed::new(0, Faults::none());
    let mut server = Side::new(bed, 0);
    let mut client = Side::with::<1>(1, bed.platform(), 4_096, 0);
    let (gone, nobody) = server.listen(bed, 1);
    server.net().stop_listening(gone);
    let (_, last) = server.listen(bed, 1);
    drive(&mut client, &[nobody, nobody, last]);
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| sides[1].lp.stats().open == 1));
}

#[test]
fn a_delay_is_cut_to_what_the_network_bears() {
    for (asked, expected) in [(0, 10), (100, 100), (60_000, 2_000)] {
        let bed = &mut SimBed::new(0, Faults::none());
        let mut server = Side::new(bed, 0);
        let mut client = Side::new(bed, 1);
        let one = silent(bed, &mut server, &mut client);
        let (_, two) = server.listen(bed, 1);
        let to = Endpoint::tcp(one);
        let eyeballs = Eyeballs::new(&[one, two]);
        let mut eyeballs = eyeballs.with_delay(Duration::from_millis(asked));
        let start = client.net().now().as_micros();
        assert_eq!(
            eyeballs.start(&mut client.net(), to, 2),
            Connecting::UnderWay
        );
        let both = &mut [&mut server, &mut client];
        assert!(run_until(bed, both, Duration::from_secs(9), |sides| {
            let timer = |event: &Event| matches!(event, Event::Timer(..));
            sides[1].script.count(timer) == 1
        }));
        let timers = both[1].script.log.iter();
        let mut timers = timers.filter(|(_, event)| matches!(event, Event::Timer(..)));
        let after = timers.next().unwrap().0.as_micros() - start;
        let expected = expected * 1_000;
        assert!(
            after >= expected && after <= expected + 2 * TICK,
            "{asked}: {after}"
        );
        eyeballs.stop(&mut both[1].net());
    }
}
