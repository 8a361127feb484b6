//! What every connection sends, and what must come back.

use crate::arguments::Arguments;
use crate::pattern::PATTERN;

/// Least bytes to have at hand for one write.
const AT_HAND: usize = 65_536;
/// Message of an echo unless another size is given.
const ECHO_SIZE: u32 = 64;

/// What must come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expected {
    /// What was sent.
    Echo,
    /// Responses with the pattern as the body.
    Pattern {
        /// Length of each body.
        length: u64,
    },
    /// Responses with any body, if it is always the same.
    Same,
}

/// What every connection sends, and what must come back.
#[derive(Debug)]
pub(crate) struct Plan {
    /// A connection sends this over and over.
    stream: Vec<u8>,
    /// Bytes of one request.
    pub(crate) message: u64,
    /// Requests under way on each connection.
    pub(crate) pipeline: u64,
    pub(crate) expected: Expected,
}

impl Plan {
    /// Makes the plan that the arguments ask for.
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let pipeline = arguments.pipeline.into();
        if arguments.echo {
            let repeats = AT_HAND.div_ceil(PATTERN.len());
            return Self {
                stream: PATTERN.repeat(repeats),
                message: arguments.size.unwrap_or(ECHO_SIZE).into(),
                pipeline,
                expected: Expected::Echo,
            };
        }
        let (target, expected) = match arguments.size {
            Some(size) => {
                let length = size.into();
                (format!("/bytes/{size}"), Expected::Pattern { length })
            }
            None => ("/".to_owned(), Expected::Same),
        };
        let host = arguments.address;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let repeats = AT_HAND.div_ceil(request.len());
        Self {
            stream: request.as_bytes().repeat(repeats),
            message: u64::try_from(request.len()).unwrap_or(u64::MAX),
            pipeline,
            expected,
        }
    }

    /// Returns bytes of the stream from `position` to `end` or somewhat before; none at `end`.
    pub(crate) fn bytes(&self, position: u64, end: u64) -> &[u8] {
        part(&self.stream, position, end)
    }
}

/// Returns bytes of `whole`, repeated for ever, from `position` to `end` or somewhat before.
pub(crate) fn part(whole: &[u8], position: u64, end: u64) -> &[u8] {
    let len = u64::try_from(whole.len()).unwrap_or(u64::MAX);
    let from = position.checked_rem(len).unwrap_or(0);
    let rest = whole.get(usize::try_from(from).unwrap_or(usize::MAX)..);
    let rest = rest.unwrap_or_default();
    let count = usize::try_from(end.saturating_sub(position)).unwrap_or(usize::MAX);
    rest.get(..count).unwrap_or(rest)
}
