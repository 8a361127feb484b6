//! Reading on demand: the program is told, and reads into its own memory when it likes.

use std::time::Duration;

use usockets::{Closed, Error, Platform, Read, SocketId};
use usockets_tests::bed::Bed;
use usockets_tests::on_every_platform;
use usockets_tests::script::Event;
use usockets_tests::side::{Pair, Side, pattern};

on_every_platform!(
    all_bytes_and_the_end_are_read_into_the_programs_memory,
    the_program_is_told_once_until_it_has_read_all,
    bytes_before_a_reset_stay_readable,
    a_socket_that_is_not_open_cannot_be_read,
    the_loop_reads_again_when_the_program_no_longer_wants_to,
    a_paused_socket_is_not_told_of,
);

const A_WHILE: Duration = Duration::from_millis(50);

/// Reads what is there, in pieces; says what ended it.
fn drain<P: Platform>(side: &mut Side<P>, id: SocketId, into: &mut Vec<u8>) -> Result<Read, Error> {
    let mut piece = [0; 300];
    loop {
        match side.net().read(id, &mut piece)? {
            Read::Data(len) => into.extend_from_slice(&piece[..len]),
            other => return Ok(other),
        }
    }
}

fn told<P: Platform>(side: &Side<P>) -> usize {
    side.script
        .count(|event| matches!(event, Event::Readable(_)))
}

/// Nothing comes by `on_data` or `on_end`, and the end can be read as often as one likes.
fn all_bytes_and_the_end_are_read_into_the_programs_memory<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().set_pull(accepted, true);
    let bytes = pattern(20_000);
    pair.client.say(connected, &bytes);
    pair.client.finish(connected);
    let mut read = Vec::new();
    let mut ended = false;
    pair.until(bed, |server, _| {
        if server.net().is_open(accepted) {
            ended |= drain(server, accepted, &mut read) == Ok(Read::End);
        }
        ended
    });
    assert!(read == bytes, "{} bytes", read.len());
    assert_eq!(pair.server.net().read(accepted, &mut [0]), Ok(Read::End));
    let unasked =
        |event: &Event| matches!(event, Event::Data(id, _) | Event::End(id) if *id == accepted);
    assert_eq!(pair.server.script.count(unasked), 0);
    pair.server.net().finish(accepted);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
}

/// However much comes meanwhile; and again when more comes after all was read.
fn the_program_is_told_once_until_it_has_read_all<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().set_pull(accepted, true);
    for _ in 0..3 {
        pair.client.say(connected, b"some");
        pair.for_time(bed, A_WHILE);
    }
    pair.until(bed, |server, _| told(server) > 0);
    pair.for_time(bed, A_WHILE);
    assert_eq!(told(&pair.server), 1);
    let mut read = Vec::new();
    pair.until(bed, |server, _| {
        assert_eq!(drain(server, accepted, &mut read), Ok(Read::WouldBlock));
        read.len() == 12
    });
    let before = told(&pair.server);
    pair.client.say(connected, b"more");
    pair.until(bed, |server, _| told(server) > before);
}

/// Although the reset is known, and until the program has read them.
fn bytes_before_a_reset_stay_readable<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().set_pull(accepted, true);
    pair.client.say(connected, b"last words");
    pair.until(bed, |server, _| told(server) > 0);
    let mut read = Vec::new();
    let mut piece = [0; 4];
    pair.until(bed, |server, _| {
        // Now the rest is there too, or comes.
        matches!(server.net().read(accepted, &mut piece), Ok(Read::Data(_)))
    });
    read.extend_from_slice(&piece);
    pair.client.net().abort(connected, 0);
    pair.for_time(bed, A_WHILE);
    assert_eq!(pair.server.script.closed(accepted), None, "not read yet");
    let mut failure = None;
    pair.until(bed, |server, _| {
        failure = drain(server, accepted, &mut read).err();
        failure.is_some()
    });
    assert!(b"last words".starts_with(&read[..4]) || read.len() >= 4);
    let error = failure.unwrap();
    assert_ne!(error, Error::Invalid);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(
        pair.server.script.closed(accepted),
        Some(Closed::Failed(error))
    );
}

fn a_socket_that_is_not_open_cannot_be_read<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let accepted = pair.accepted;
    assert_eq!(
        pair.server.net().read(accepted, &mut []),
        Err(Error::Invalid)
    );
    let nothing = pair.server.net().read(accepted, &mut [0]);
    assert_eq!(nothing, Ok(Read::WouldBlock));
    pair.server.net().close(accepted);
    assert_eq!(
        pair.server.net().read(accepted, &mut [0]),
        Err(Error::Invalid)
    );
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
}

fn the_loop_reads_again_when_the_program_no_longer_wants_to<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().set_pull(accepted, true);
    pair.client.say(connected, b"waiting");
    pair.until(bed, |server, _| told(server) > 0);
    pair.server.net().set_pull(accepted, false);
    pair.until(bed, |server, _| {
        server.script.received(accepted) == b"waiting"
    });
}

fn a_paused_socket_is_not_told_of<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().set_pull(accepted, true);
    pair.server.net().pause(accepted);
    pair.client.say(connected, b"waiting");
    pair.for_time(bed, A_WHILE);
    assert_eq!(told(&pair.server), 0);
    pair.server.net().resume(accepted);
    pair.until(bed, |server, _| told(server) > 0);
}
