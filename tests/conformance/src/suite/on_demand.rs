//! Reading on demand: the program is told, and reads into its own memory when it likes.

use crate::bed::Bed;
use crate::script::{At, Event};
use crate::side::{Pair, Side, pattern};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use usockets::{Closed, Error, Platform, Read};

const A_WHILE: Duration = Duration::from_millis(50);

/// What the program read, and how it ended.
#[derive(Debug, Default)]
struct Reader {
    bytes: Vec<u8>,
    last: Option<Result<Read, Error>>,
}

/// Has the script read all there is whenever it is told, in pieces.
fn read_when_told<P: Platform>(side: &mut Side<P>) -> Rc<RefCell<Reader>> {
    let reader = Rc::new(RefCell::new(Reader::default()));
    let shared = Rc::clone(&reader);
    side.script.act(move |at, event| {
        if let (At::Socket(socket), Event::Readable(_)) = (at, event) {
            let mut reader = shared.borrow_mut();
            let mut piece = [0; 300];
            loop {
                match socket.read(&mut piece) {
                    Ok(Read::Data(len)) => reader.bytes.extend_from_slice(&piece[..len]),
                    other => {
                        reader.last = Some(other);
                        return;
                    }
                }
            }
        }
    });
    reader
}

fn told<P: Platform>(side: &Side<P>) -> usize {
    side.script
        .count(|event| matches!(event, Event::Readable(_)))
}

/// Nothing comes by `on_data` or `on_end`, and the end can be read as often as one likes.
pub fn all_bytes_and_the_end_are_read_into_the_programs_memory<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().set_pull(accepted, true);
    let reader = read_when_told(&mut pair.server);
    let bytes = pattern(20_000);
    pair.client.say(connected, &bytes);
    pair.client.finish(connected);
    pair.until(bed, |_, _| reader.borrow().last == Some(Ok(Read::End)));
    assert!(reader.borrow().bytes == bytes);
    assert_eq!(pair.server.net().read(accepted, &mut [0]), Ok(Read::End));
    let unasked =
        |event: &Event| matches!(event, Event::Data(id, _) | Event::End(id) if *id == accepted);
    assert_eq!(pair.server.script.count(unasked), 0);
    pair.server.net().finish(accepted);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
}

/// However much comes meanwhile; and again when more comes after all was read. (A rough network
/// gives bytes in pieces.)
pub fn the_program_is_told_once_until_it_has_read_all<B: Bed>(bed: &mut B) {
    if !bed.is_smooth() {
        return;
    }
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
    let mut piece = [0; 300];
    assert_eq!(
        pair.server.net().read(accepted, &mut piece),
        Ok(Read::Data(12))
    );
    assert_eq!(
        pair.server.net().read(accepted, &mut piece),
        Ok(Read::WouldBlock)
    );
    let before = told(&pair.server);
    pair.client.say(connected, b"more");
    pair.until(bed, |server, _| told(server) > before);
}

/// Although the reset is known, and until the program has read them.
pub fn bytes_before_a_reset_stay_readable<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().set_pull(accepted, true);
    let has_read = Rc::new(Cell::new(false));
    let shared = Rc::clone(&has_read);
    pair.server.script.act(move |at, event| {
        if let (At::Socket(socket), Event::Readable(_)) = (at, event)
            && !shared.get()
        {
            let first = socket.read(&mut [0; 4]);
            shared.set(matches!(first, Ok(Read::Data(_))));
        }
    });
    pair.client.say(connected, b"last words");
    pair.until(bed, |_, _| has_read.get());
    pair.client.net().abort(connected, 0);
    pair.for_time(bed, A_WHILE);
    assert_eq!(pair.server.script.closed(accepted), None, "not read yet");
    let mut failure = None;
    for _ in 0..100 {
        match pair.server.net().read(accepted, &mut [0; 4]) {
            Ok(Read::Data(_)) => {}
            Ok(Read::WouldBlock) => pair.for_time(bed, A_WHILE),
            Ok(Read::End) => panic!("it was no orderly end"),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let error = failure.expect("it broke");
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(
        pair.server.script.closed(accepted),
        Some(Closed::Failed(error))
    );
}

/// A read of a socket that is not open, or no more, is an error and not an end.
pub fn a_socket_that_is_not_open_cannot_be_read<B: Bed>(bed: &mut B) {
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

/// What waited for the program is delivered by the loop once the program gives reading back.
pub fn the_loop_reads_again_when_the_program_no_longer_wants_to<B: Bed>(bed: &mut B) {
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

/// A paused socket has no `on_readable`; it comes once the socket is resumed.
pub fn a_paused_socket_is_not_told_of<B: Bed>(bed: &mut B) {
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
