//! Loops on platforms that answer whatever bytes say, under programs that do what bytes say.
//!
//! | file | what it has |
//! |---|---|
//! | `mod.rs` | the body, and how a run begins and ends |
//! | `world.rs` | what the bytes say next, and what the loops have been seen to do |
//! | `host.rs` | the platform |
//! | `program.rs` | the handlers |
//! | `actions.rs` | what they do within a call |

mod actions;
mod host;
mod program;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use usockets::compose::{Both, Composed};
use usockets::proxy::{Network, Proxied, ProxyHeader, ProxyVersion, Untrusted};
use usockets::{Duration, Error, Handler, Instant, Loop, Platform, Sockets};

use self::actions::{act, act_fully};
use self::host::Host;
use self::program::{Part, Program};
use self::world::{HOSTS, Unwound, World};

/// Sockets of each pool: more than those whose idleness one walk over the pool compares.
const POOL: usize = 20;
/// Bytes that a loop receives into.
const BUFFER: usize = 32;
/// Bytes that a loop corks.
const CORK: usize = 48;

/// Runs two loops on platforms whose every answer the bytes decide, and programs that do what they
/// say: sockets that are reported are there, gone or never were, sends take more than they were
/// given, clocks run back, any call fails. The first byte chooses the platform and the program.
///
/// # Panics
/// The loop panics, makes a call that is not due, mixes up sockets, or does not close what it has.
pub fn fuzz_platform(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let world = &World::new(bytes);
    let program = |host| Program { world, host };
    let part = |host| Part { world, host };
    let composed = |host| Composed(Both(part(host), part(host)));
    match kind % 4 {
        0 => drive(
            world,
            |host| Host::<false>::new(world, host),
            program,
            |lp, host| act_fully(world, host, &mut lp.net(), None),
        ),
        1 => drive(
            world,
            |host| Host::<true>::new(world, host),
            program,
            |lp, host| act_fully(world, host, &mut lp.net(), None),
        ),
        2 => drive(
            world,
            |host| Host::<false>::new(world, host),
            composed,
            |lp, host| act_fully(world, host, &mut lp.net(), None),
        ),
        _ => {
            let trusted = [Network::new([10, 0, 0, 0].into(), 8)];
            drive(
                world,
                |host| proxied(world, host, &trusted),
                composed,
                |lp, host| act(world, host, &mut lp.net(), None),
            );
        }
    }
}

/// Makes a layer of the PROXY protocol over a platform.
fn proxied<'w>(
    world: &'w World<'w>,
    host: usize,
    trusted: &'w [Network],
) -> Proxied<'w, Host<'w, false>> {
    let [client, server] = [1, 2].map(|port| ([10, 0, 0, 9], port).into());
    let header = ProxyHeader::between(client, server);
    let mut layer = Proxied::new(Host::new(world, host), trusted);
    layer.send_header(match world.below(4) {
        1 => Some((header, ProxyVersion::One)),
        2 => Some((header, ProxyVersion::Two)),
        _ => None,
    });
    match world.seldom(2) {
        true => layer.with_untrusted(Untrusted::Direct),
        false => layer,
    }
}

/// Runs loops, one behind the other in the same pools, until the bytes are used up.
fn drive<P: Platform, H: Handler<P>>(
    world: &World<'_>,
    platform: impl Fn(usize) -> P,
    program: impl Fn(usize) -> H,
    mut act: impl FnMut(&mut Loop<'_, P, H>, usize),
) {
    let mut pools = [(); HOSTS].map(|()| Box::new(Sockets::<P, H, POOL>::new()));
    let mut memory = [([0; BUFFER], [0; CORK]); HOSTS];
    while !world.is_over() {
        let mut programs = [0, 1].map(&program);
        let mut host = 0;
        let loops = pools.each_mut();
        let mut loops: Vec<_> = loops
            .into_iter()
            .zip(&mut memory)
            .map(|(pool, (buffer, cork))| {
                host += 1;
                Loop::new(platform(host - 1), pool, buffer).with_cork(cork)
            })
            .collect();
        let is_leaked = play(world, &mut loops, &mut programs, &mut act);
        world.set_silent(true);
        for (host, (lp, handler)) in loops.drain(..).zip(&mut programs).enumerate() {
            match is_leaked {
                true => core::mem::forget(lp),
                false => end(world, host, lp, handler),
            }
        }
        world.set_silent(false);
        world.forget();
    }
    drop(pools);
    assert_eq!(
        Arc::strong_count(&world.tally),
        1,
        "data of sockets is left"
    );
}

/// Runs iterations, and acts between them. Returns true if the loops are not to be dropped.
fn play<P: Platform, H: Handler<P>>(
    world: &World<'_>,
    loops: &mut [Loop<'_, P, H>],
    programs: &mut [H],
    mut act: impl FnMut(&mut Loop<'_, P, H>, usize),
) -> bool {
    while !world.is_over() {
        let step = world.draw();
        let host = usize::from(step % 8 == 7);
        let (lp, handler) = (&mut loops[host], &mut programs[host]);
        match step / 8 % 16 {
            0..=8 => {
                let _ = poll(world, host, lp, handler);
            }
            9 => {
                let _ = (lp.next_deadline(), lp.next_wait());
            }
            10 if world.seldom(4) => return world.seldom(2),
            11 => {
                // A while in which the platform keeps to the contract, and nothing comes.
                let iterations = world.draw();
                world.set_silent(true);
                for _ in 0..iterations {
                    let _ = poll(world, host, lp, handler);
                }
                world.set_silent(false);
            }
            _ => act(lp, host),
        }
    }
    world.seldom(2)
}

/// Runs one iteration, which may unwind.
fn poll<P: Platform, H: Handler<P>>(
    world: &World<'_>,
    host: usize,
    lp: &mut Loop<'_, P, H>,
    handler: &mut H,
) -> Result<(), Error> {
    let until = match world.below(4) {
        0 | 1 => None,
        2 => Some(Instant::ZERO),
        _ => Some(Instant::from_micros(world.word().into())),
    };
    match catch_unwind(AssertUnwindSafe(|| lp.poll(handler, until))) {
        Ok(Ok(())) => {
            let open = world.count_open(host);
            assert_eq!(lp.stats().open as usize, open, "open sockets are counted");
            Ok(())
        }
        Ok(failed) => failed,
        Err(unwound) if unwound.is::<Unwound>() => Ok(()),
        Err(unwound) => resume_unwind(unwound),
    }
}

/// Ends a loop on a platform that keeps to the contract now.
fn end<P: Platform, H: Handler<P>>(
    world: &World<'_>,
    host: usize,
    mut lp: Loop<'_, P, H>,
    handler: &mut H,
) {
    lp.net().drain(Duration::ZERO);
    for _ in 0..3 {
        poll(world, host, &mut lp, handler).expect("a wait that does not fail");
    }
    assert_eq!(world.count_open(host), 0, "everything closes in the end");
    drop(lp);
    let live = world.sides[host].live.borrow();
    assert!(live.is_empty(), "{live:?} are not closed");
}
