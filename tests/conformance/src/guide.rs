//! What is unclear when one writes a platform, and which test notices.
//!
//! The contract is the documentation of [`Platform`](usockets::Platform). Here are the questions
//! that it answered too briefly for those who wrote one with nothing else.
//!
//! # A worked example
//! `tests/outside` in the repository: `src/pipes.rs` is a platform of some 200 lines, of which a
//! third are the signatures of the trait; `src/wire.rs`, another 150, is the network that it is
//! over and that you have already; `tests/bed` is the bed, 83. Time is virtual there, by a
//! [`Clock`](crate::Clock). `tests/finds_broken_platforms.rs` breaks the platform in the ways that
//! follow, and each is noticed.
//!
//! # Must an accepted socket be reported as writable?
//! No. The loop calls `open` once right after `accept`, with
//! [`Readiness::NONE`](usockets::Readiness::NONE). If that says
//! [`Progress::Done`](usockets::Progress::Done), the socket is open and is written to without a
//! report. Only an `open` that says `Pending` needs one. A *connecting* socket must be reported as
//! writable when it opens: without that nothing opens at all, and most tests fail.
//!
//! # Are facts from before `accept` reported again, under the new id?
//! Yes. Before `accept` a connection has no id, so its bytes, its end or its error could not be
//! reported. The loop does not read a socket that it has just accepted; it waits for the report.
//! Look at what holds when `accept` is called and report it, as `EPOLL_CTL_ADD` does
//! (`epoll_ctl(2)`). Found by `full_pool::a_full_pool_pauses_the_listener_and_loses_nobody` and
//! `write_before_open::closing_before_open_makes_no_call`.
//!
//! # Does `ENDED` come beside `READABLE`, or instead of it?
//! Either will do: [`ENDED`](usockets::Readiness::ENDED), `HUNG_UP` and `ERROR` each have the loop
//! read, as `READABLE` has, and they have it read on until `recv` says `Finished` or fails,
//! whatever `drained` says. What is wrong is to leave `ENDED` out *and* to say `drained` of the
//! last bytes before the end: nobody then reads the end. `recv` may say `drained: false` as long as
//! anything follows, the end included; the loop then reads on by itself. Fifteen tests fail where
//! both are wrong, `back_pressure::a_slow_reader_gets_everything` among them.
//!
//! # What is `take_error` asked of while bytes are unread?
//! Of a paused socket, or one that is read on demand, which is reported with `ERROR`. Say why it
//! broke: the bytes are then delivered, although the program has paused, and the socket closes for
//! that reason when `recv` has nothing more. The loop asks at most once for each report of `ERROR`,
//! so a platform that answers `None` until all is read keeps the slot of a paused socket for ever.
//! Of a socket that is read nothing is asked: there `recv` fails after the last byte. Found by
//! `broken_connections::a_paused_socket_that_broke_delivers_what_came_and_closes`.
//!
//! # May a connect to a listener whose queue is full open?
//! No. Those that wait beyond [`Endpoint::backlog`](usockets::Endpoint::backlog) must not open
//! before there is a place: the connect goes on (a SYN that is dropped is sent again) until its
//! time is over, or is refused if the bed says so
//! ([`Bed::drops_surplus`](crate::Bed::drops_surplus)). Found by
//! `connect_errors::a_connect_can_be_given_less_time`.
//!
//! # How many reports may one poll give?
//! A number that you choose and that best does not grow with the number of sockets, as timers wait
//! meanwhile; some hundred is usual, and each socket once the most. The bed says it
//! ([`Bed::reports_max`](crate::Bed::reports_max)). The next poll gives the rest and does not
//! wait, and `next_deadline` is then in the past, as an edge-triggered outer loop would not be told
//! again. That a poll gives no more, and that nobody is forgotten, is noticed by
//! `foreign_loops::more_ready_sockets_than_one_wait_holds_are_all_served`, with 280 sockets that
//! are ready at once.
//!
//! # Who waits at a listener that is to be reported again?
//! One whose report has been taken is reported once more, as the loop may have stopped before it
//! asked for that connection. Found by `contract::who_waits_is_reported_when_accepting_goes_on`.
//!
//! # What else is noticed at once
//! Room that comes back after a short send and is not reported as writable: 26 tests. A platform
//! that takes everything and is never short: all of `back_pressure`.
//!
//! # In virtual time
//! [`Bed::edge`](crate::Bed::edge) must not be left at its default, which is always true: an outer
//! loop would never be idle, and time would stand still. And [`Bed::pass`](crate::Bed::pass) must
//! pass over deadlines that are past: they are those of hosts that a test has dropped. A
//! [`Clock`](crate::Clock) does.
