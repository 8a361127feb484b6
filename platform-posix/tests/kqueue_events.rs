//! What kqueue's events mean: sequences from manual pages and kernel sources, and generated ones.
//!
//! The systems are not here, so the data are: each sequence names its source. "FreeBSD", "NetBSD",
//! "OpenBSD" and "XNU" mean the functions of these names in `kern/uipc_socket.c` (XNU: `bsd/kern`),
//! "kqueue(2)" the manual page of all of them, "tcp_usrreq" and "tcp_input" the files of theirs in
//! `netinet`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]
#![cfg(unix)]

use usockets::{Readiness, SocketId};
use usockets_posix::{Kevent, KeventFilter, KeventFlags};

const R: KeventFilter = KeventFilter::Read;
const W: KeventFilter = KeventFilter::Write;
const X: KeventFilter = KeventFilter::Other;
const NONE: KeventFlags = KeventFlags::NONE;
const EOF: KeventFlags = KeventFlags::EOF;
const ERROR: KeventFlags = KeventFlags::ERROR;
const OOB: KeventFlags = KeventFlags::OOBAND;

const READ: Readiness = Readiness::READABLE;
const LAST: Readiness = Readiness::READABLE.union(Readiness::ENDED);
const URGENT: Readiness = Readiness::READABLE.union(Readiness::URGENT);
const ROOM: Readiness = Readiness::WRITABLE;
const OVER: Readiness = Readiness::WRITABLE
    .union(Readiness::ERROR)
    .union(Readiness::HUNG_UP);

/// Name, source, events of one socket in their order, and the reports that they make.
type Sequence = (
    &'static str,
    &'static str,
    &'static [(KeventFilter, KeventFlags)],
    &'static [Readiness],
);

const SEQUENCES: &[Sequence] = &[
    (
        "a connection opens",
        "FreeBSD filt_sowrite: SS_ISCONNECTED, then space",
        &[(W, NONE)],
        &[ROOM],
    ),
    (
        "a connection opens",
        "NetBSD filt_sowrite: SS_ISCONNECTED, then space",
        &[(W, NONE)],
        &[ROOM],
    ),
    (
        "a connection opens",
        "XNU filt_sowrite_common: SOI_CONNECTED, then lowwat",
        &[(W, NONE)],
        &[ROOM],
    ),
    (
        "a connect is refused",
        "FreeBSD tcp_drop, soisdisconnected: both directions",
        &[(R, EOF), (W, EOF)],
        &[LAST, OVER],
    ),
    (
        "a connect is refused, writing first",
        "XNU soisdisconnected wakes writers, then readers",
        &[(W, EOF), (R, EOF)],
        &[OVER, LAST],
    ),
    (
        "a connect fails by so_error alone",
        "FreeBSD filt_sowrite: so_error before SS_ISCONNECTED",
        &[(W, NONE)],
        &[ROOM],
    ),
    (
        "a connect fails by so_error alone, read too",
        "NetBSD filt_soread: so_error returns 1",
        &[(R, NONE), (W, NONE)],
        &[READ, ROOM],
    ),
    (
        "a connect times out",
        "tcp_timer: ETIMEDOUT by tcp_drop",
        &[(W, EOF), (R, EOF)],
        &[OVER, LAST],
    ),
    (
        "a connection opens with bytes there",
        "tcp_input: data with the last ACK",
        &[(W, NONE), (R, NONE)],
        &[ROOM, READ],
    ),
    (
        "bytes arrive",
        "kqueue(2) EVFILT_READ: data holds their number",
        &[(R, NONE)],
        &[READ],
    ),
    (
        "bytes arrive twice",
        "kqueue(2) EV_CLEAR: the state is reset after it was retrieved",
        &[(R, NONE), (R, NONE)],
        &[READ, READ],
    ),
    (
        "the peer's end",
        "kqueue(2) EVFILT_READ: EV_EOF when the read direction has shut down",
        &[(R, EOF)],
        &[LAST],
    ),
    (
        "bytes and the end in one event",
        "kqueue(2): EOF may come while data is still in the buffer",
        &[(R, EOF)],
        &[LAST],
    ),
    (
        "bytes, then the end",
        "FreeBSD filt_soread: sbavail, then SBS_CANTRCVMORE",
        &[(R, NONE), (R, EOF)],
        &[READ, LAST],
    ),
    (
        "the end, then room",
        "FreeBSD: half-closed, sowwakeup at an ACK",
        &[(R, EOF), (W, NONE)],
        &[LAST, ROOM],
    ),
    (
        "room after a short send",
        "FreeBSD sowwakeup: sbspace at least sb_lowat",
        &[(W, NONE)],
        &[ROOM],
    ),
    (
        "room at every acknowledgement",
        "FreeBSD tcp_input: sowwakeup_locked per ACK",
        &[(W, NONE), (W, NONE), (W, NONE)],
        &[ROOM, ROOM, ROOM],
    ),
    (
        "an echo",
        "tcp_input: an ACK with data wakes writers and readers",
        &[(W, NONE), (R, NONE)],
        &[ROOM, READ],
    ),
    (
        "our own end",
        "FreeBSD filt_sowrite: SBS_CANTSENDMORE, also after shutdown(2)",
        &[(W, EOF)],
        &[OVER],
    ),
    (
        "our own end",
        "NetBSD filt_sowrite: SS_CANTSENDMORE",
        &[(W, EOF)],
        &[OVER],
    ),
    (
        "our own end, then bytes",
        "kqueue(2): the filters are independent",
        &[(W, EOF), (R, NONE)],
        &[OVER, READ],
    ),
    (
        "our own end, then the peer's",
        "tcp_usrreq tcp_usr_shutdown, tcp_input FIN",
        &[(W, EOF), (R, EOF)],
        &[OVER, LAST],
    ),
    (
        "a reset",
        "FreeBSD tcp_input, tcp_close: ECONNRESET and soisdisconnected",
        &[(R, EOF), (W, EOF)],
        &[LAST, OVER],
    ),
    (
        "a reset after bytes",
        "XNU: the receive buffer is kept, EV_EOF with its length",
        &[(R, NONE), (R, EOF), (W, EOF)],
        &[READ, LAST, OVER],
    ),
    (
        "a reset seen by the writer alone",
        "OpenBSD filt_sowrite: SS_CANTSENDMORE first in the list",
        &[(W, EOF)],
        &[OVER],
    ),
    (
        "a broken connection by keep-alive",
        "tcp_timer: ETIMEDOUT by tcp_drop",
        &[(R, EOF), (W, EOF)],
        &[LAST, OVER],
    ),
    (
        "one connection waits",
        "FreeBSD filt_soread of a listener: sol_comp is not empty",
        &[(R, NONE)],
        &[READ],
    ),
    (
        "connections go on waiting",
        "kqueue(2) EVFILT_READ of listen(2), without EV_CLEAR",
        &[(R, NONE), (R, NONE)],
        &[READ, READ],
    ),
    (
        "a listener is shut down",
        "FreeBSD: SBS_CANTRCVMORE of a listener",
        &[(R, EOF)],
        &[LAST],
    ),
    (
        "urgent data",
        "XNU filt_soread_common: EV_OOBAND at so_oobmark",
        &[(R, OOB)],
        &[URGENT],
    ),
    (
        "urgent data with the end",
        "XNU filt_soread_common: both flags",
        &[(R, KeventFlags::of(&[OOB, EOF]))],
        &[URGENT.union(Readiness::ENDED)],
    ),
    (
        "urgent data elsewhere",
        "FreeBSD filt_soread: no flag of it",
        &[(R, NONE)],
        &[READ],
    ),
    (
        "a change that failed",
        "kqueue(2) RETURN VALUES: EV_ERROR with errno in data",
        &[(R, ERROR)],
        &[],
    ),
    (
        "a change of a closed descriptor failed",
        "kqueue(2) ERRORS: EBADF as EV_ERROR",
        &[(W, ERROR), (R, NONE)],
        &[READ],
    ),
    (
        "a receipt",
        "kqueue(2) EV_RECEIPT: EV_ERROR with 0 in data",
        &[(R, ERROR), (W, ERROR)],
        &[],
    ),
    (
        "an event of another filter",
        "kqueue(2): EVFILT_SIGNAL, EVFILT_TIMER, EVFILT_USER",
        &[(X, NONE), (R, NONE)],
        &[READ],
    ),
    (
        "the end of another filter",
        "kqueue(2): EVFILT_PROC sets EV_EOF",
        &[(X, EOF)],
        &[],
    ),
    (
        "a pipe has bytes",
        "FreeBSD sys_pipe.c filt_piperead",
        &[(R, NONE)],
        &[READ],
    ),
    (
        "a pipe's writer is gone",
        "FreeBSD sys_pipe.c filt_piperead: PIPE_EOF",
        &[(R, EOF)],
        &[LAST],
    ),
];

fn id() -> SocketId {
    SocketId::from_bits((3 << 32) | 7).unwrap()
}

#[test]
fn each_sequence_makes_its_reports() {
    assert!(SEQUENCES.len() >= 30);
    for (name, source, events, expected) in SEQUENCES {
        let reports: Vec<_> = events
            .iter()
            .filter_map(|(filter, flags)| {
                let event = Kevent {
                    filter: *filter,
                    flags: *flags,
                    udata: id().to_bits(),
                };
                event.ready()
            })
            .collect();
        assert!(reports.iter().all(|ready| ready.id == id()), "{name}");
        let reports: Vec<_> = reports.iter().map(|ready| ready.readiness).collect();
        assert_eq!(reports, *expected, "{name} ({source})");
    }
}

/// Every event there can be, under every kind of name: what it must and must not say.
#[test]
fn no_event_says_more_or_less_than_it_means() {
    let names = [
        1,
        1 << 32,
        u64::from(u32::MAX) << 32,
        u64::MAX,
        id().to_bits(),
    ];
    for filter in [R, W, X] {
        for bits in 0..8 {
            let all = [EOF, ERROR, OOB];
            let flags: Vec<_> = (0..3)
                .filter(|bit| bits >> bit & 1 == 1)
                .map(|bit| all[bit])
                .collect();
            let flags = KeventFlags::of(&flags);
            for udata in names.into_iter().chain([0]) {
                let ready = Kevent {
                    filter,
                    flags,
                    udata,
                }
                .ready();
                let expected = SocketId::from_bits(udata).is_some();
                let says = filter != X && !flags.intersects(ERROR) && expected;
                assert_eq!(ready.is_some(), says, "{filter:?} {flags:?} {udata:x}");
                let Some(ready) = ready else { continue };
                assert_eq!(ready.id.to_bits(), udata);
                let facts = ready.readiness;
                // The bytes before an end are still to be read.
                assert_eq!(facts.intersects(READ), filter == R);
                assert_eq!(facts.intersects(ROOM), filter == W);
                assert_eq!(
                    facts.intersects(Readiness::ENDED),
                    filter == R && flags.intersects(EOF)
                );
                let over = Readiness::ERROR.union(Readiness::HUNG_UP);
                assert_eq!(facts.intersects(over), filter == W && flags.intersects(EOF));
            }
        }
    }
}
