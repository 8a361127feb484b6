//! The serial line: the terminal. What it prints is lines of text; `q` stops the loop.

use crate::net::WAKER;
use crate::port::{Port, read as read_port, write as write_port};

const STATUS_RECEIVED: u8 = 1;
const STATUS_ROOM: u8 = 1 << 5;

/// Has the line interrupt for each byte.
pub(crate) fn start() {
    write_port(Port::SERIAL_ENABLE, 1);
    write_port(Port::SERIAL_CONTROL, 0b1011);
}

/// Reads what came. Called by interrupts only.
pub(crate) fn read() {
    while read_port(Port::SERIAL_STATUS) & STATUS_RECEIVED != 0 {
        if read_port(Port::SERIAL_DATA) == b'q' {
            WAKER.wake();
        }
    }
}

/// Writes bytes, waiting for room.
pub(crate) fn write(bytes: &[u8]) {
    for byte in bytes {
        while read_port(Port::SERIAL_STATUS) & STATUS_ROOM == 0 {}
        write_port(Port::SERIAL_DATA, *byte);
    }
}
