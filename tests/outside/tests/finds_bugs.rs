//! Five handlers, three of them the examples', each with two bugs: the simulator finds all ten,
//! within 200 seeds, and shrinks each to a script of 20 steps at most. Without bugs they pass.

#[macro_use]
mod copies;

use std::net::SocketAddr;

use usockets::{Endpoint, Handler, Opened, Platform, Socket, Span};
use usockets_sim::{Driver, Host, Peer};

/// Slots of the pool.
const SLOTS: usize = 32;
/// What a connection may hold: as much as the loop's receive buffer.
const HELD: usize = 1_024;
/// Longest script that is short.
const STEPS_MAX: usize = 20;

copies!(echo echo_that_does_not_pause echo_that_loses_a_byte);
copies!(lines lines_that_sees_the_first_only lines_that_drops_the_last);
copies!(proxy proxy_that_does_not_resume proxy_that_loses_a_byte);
copies!(frames frames_that_wants_its_length_alone frames_that_forgets_to_go_on);
copies!(table table_that_forgets_what_is_unsent table_that_finishes_before_its_answers);

fn memory() -> &'static mut [[u8; HELD]] {
    vec![[0; HELD]; SLOTS].leak()
}

#[track_caller]
fn finds<H: Handler<Host> + 'static>(driver: Driver<H>)
where
    H::Context: Sync,
{
    let failure = driver
        .run()
        .expect_err("the bug was not found in 200 seeds");
    println!("{failure}");
    assert!(failure.seed() < 200);
    assert!(failure.case.steps.len() <= STEPS_MAX, "{failure}");
}

/// Drives a handler without a bug, which passes, and two with one, which do not.
macro_rules! hold {
    ($test:ident: $right:ident $one:ident $other:ident, $driver:ident) => {
        #[test]
        fn $test() {
            let report = $driver!($right).check();
            assert!(report.heard > 10_000, "{report:?}");
            finds($driver!($one));
            finds($driver!($other));
        }
    };
}

macro_rules! echo_driver {
    ($copy:ident) => {
        Driver::listening(|| $copy::EchoServer::<HELD>::new(memory()), ())
            .peer(Peer::random(4_000).expects(<[u8]>::to_vec))
            .peer(Peer::random(4_000).slow().expects(<[u8]>::to_vec))
            .peer(Peer::random(2_000).half_closing().expects(<[u8]>::to_vec))
            .peer(Peer::silent())
    };
}

hold!(bugs_of_an_echo_server_are_found:
    echo echo_that_does_not_pause echo_that_loses_a_byte, echo_driver);

/// Lines of different lengths.
fn text() -> Vec<u8> {
    (0..60)
        .map(|line| format!("{}\n", "x".repeat(line % 17)))
        .collect::<String>()
        .into_bytes()
}

/// What comes back of lines whose sender has not ended.
fn complete(said: &[u8]) -> Vec<u8> {
    let end = said
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    said[..end].to_vec()
}

macro_rules! line_driver {
    ($copy:ident) => {{
        /// A server of lines.
        struct Server(&'static mut [[u8; 2 * HELD]]);

        impl<P: Platform> Handler<P> for Server {
            type Ext = $copy::Lines;
            type Context = ();

            fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
                let memory = socket.id().entry(self.0).expect("memory of each slot");
                $copy::Lines::adopt(socket, memory, Span::EMPTY)
            }

            fn on_data(
                &mut self,
                socket: &mut Socket<'_, P, Self>,
                lines: &mut Self::Ext,
                data: &mut [u8],
            ) {
                let memory = socket.id().entry(self.0).expect("memory of each slot");
                lines.on_data(socket, memory, data);
            }

            fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, lines: &mut Self::Ext) {
                let memory = socket.id().entry(self.0).expect("memory of each slot");
                lines.on_writable(socket, memory);
            }

            fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, lines: &mut Self::Ext) {
                let memory = socket.id().entry(self.0).expect("memory of each slot");
                lines.on_end(socket, memory);
            }
        }

        Driver::listening(|| Server(vec![[0; 2 * HELD]; SLOTS].leak()), ())
            .peer(Peer::given(text()).expects(complete))
            .peer(Peer::given(text()).slow().expects(complete))
            .peer(
                Peer::given("one\ntwo\nthree")
                    .half_closing()
                    .expects(<[u8]>::to_vec),
            )
    }};
}

hold!(bugs_of_a_line_server_are_found:
    lines lines_that_sees_the_first_only lines_that_drops_the_last, line_driver);

/// Where the driver's echo is, which the proxy hands on to.
fn upstreams() -> &'static [SocketAddr] {
    static UPSTREAM: std::sync::OnceLock<[SocketAddr; 1]> = std::sync::OnceLock::new();
    UPSTREAM.get_or_init(|| {
        let sim = usockets_sim::Sim::new(0, usockets_sim::Faults::none());
        let _hosts = (sim.host(), sim.host());
        [SocketAddr::new(sim.addresses(1)[0], UPSTREAM_PORT)]
    })
}

/// The port of the driver's echo.
const UPSTREAM_PORT: u16 = 80;

macro_rules! proxy_driver {
    ($copy:ident) => {
        Driver::starting(
            || $copy::Proxy::<HELD>::new(upstreams(), memory()),
            |net, places| {
                assert_eq!(upstreams(), [places.upstream]);
                net.listen(Endpoint::tcp(places.here), $copy::Role::Client)
                    .map(drop)
            },
        )
        .peer(Peer::random(4_000).expects(<[u8]>::to_vec))
        .peer(Peer::random(4_000).slow().expects(<[u8]>::to_vec))
        .peer(Peer::random(2_000).half_closing().expects(<[u8]>::to_vec))
    };
}

hold!(bugs_of_a_proxy_are_found:
    proxy proxy_that_does_not_resume proxy_that_loses_a_byte, proxy_driver);

/// Frames of different lengths, and each of them reversed.
fn frames_of(lens: impl Iterator<Item = u8>) -> Vec<u8> {
    let frame = |len: u8| std::iter::once(len).chain((0..len).map(|byte| byte ^ 0x5a));
    lens.flat_map(frame).collect()
}

fn reversed(said: &[u8]) -> Vec<u8> {
    let (mut answer, mut rest) = (Vec::new(), said);
    while let Some((&len, after)) = rest.split_first()
        && let Some((frame, after)) = after.split_at_checked(len.into())
    {
        answer.push(len);
        answer.extend(frame.iter().rev());
        rest = after;
    }
    answer
}

macro_rules! frame_driver {
    ($copy:ident) => {
        Driver::listening(|| $copy::Reverser, ())
            .peer(Peer::given(frames_of((0..40).map(|n| n * 5))).expects(reversed))
            .peer(
                Peer::given(frames_of((0..40).map(|n| n * 5)))
                    .slow()
                    .expects(reversed),
            )
            .peer(
                Peer::given(frames_of([3, 0, 200].into_iter()))
                    .half_closing()
                    .expects(reversed),
            )
    };
}

hold!(bugs_of_a_frame_server_are_found:
    frames frames_that_wants_its_length_alone frames_that_forgets_to_go_on, frame_driver);

fn counted(said: &[u8]) -> Vec<u8> {
    let (mut count, mut answer) = (0, String::new());
    for byte in said {
        match byte {
            b'+' => count += 1,
            _ => answer.push_str(&format!("{count}\n")),
        }
    }
    answer.into_bytes()
}

macro_rules! table_driver {
    ($copy:ident) => {
        Driver::listening($copy::Counters::default, ())
            .peer(Peer::given("+?".repeat(200)).expects(counted))
            .peer(Peer::given("+++?".repeat(80)).slow().expects(counted))
            .peer(
                Peer::given("?+?".repeat(80))
                    .half_closing()
                    .expects(counted),
            )
            .peer(Peer::given("+?".repeat(40)).resetting())
    };
}

hold!(bugs_of_a_counter_are_found:
    table table_that_forgets_what_is_unsent table_that_finishes_before_its_answers, table_driver);
