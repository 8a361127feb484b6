//! What is served, apart from how.

use std::time::Instant;

/// Turns what a client sent into what it is sent.
pub trait Service {
    /// What is kept of a connection between two reads.
    type State: Default + Send + 'static;

    /// Answers `data`. The answer lies in `data` itself or in `scratch`, which a server keeps and
    /// lends again each time. `None` closes the connection.
    fn answer<'a>(
        state: &mut Self::State,
        data: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Option<&'a [u8]>;

    /// Returns true if the time of a connection is over, for servers that look after it.
    fn is_over(_: &Self::State, _: Instant) -> bool {
        false
    }
}

/// Sends back what comes, without copying it.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl Service for Echo {
    type State = ();

    fn answer<'a>(_: &mut (), data: &'a [u8], _: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        Some(data)
    }
}
