//! What the other end of a connection says, how it behaves, and what it wants to hear.

use std::fmt;
use std::sync::Arc;

use usockets::Closed;

use crate::http;
use crate::rng::Rng;

/// Computes what must be answered to the bytes said so far.
type Answer = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;
/// Says what is wrong with a conversation.
type Check = Arc<dyn Fn(&Talk) -> Result<(), String> + Send + Sync>;

/// The other end of a connection, ready made: what it says, how it behaves, what it wants.
///
/// ```
/// use usockets_sim::Peer;
///
/// // Wants back, byte for byte, what it says.
/// let peer = Peer::random(2_000).expects(<[u8]>::to_vec);
/// ```
#[derive(Clone)]
pub struct Peer {
    says: Says,
    pub(crate) manner: Manner,
    wants: Wants,
    /// Whether an answer may break off before its end.
    partly: bool,
}

#[derive(Clone, Debug)]
enum Says {
    Given(Vec<u8>),
    Random(usize),
}

/// How a peer goes about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    Usual,
    Slow,
    Silent,
    Resetting,
    HalfClosing,
}

#[derive(Clone)]
enum Wants {
    Anything,
    Bytes(Answer),
    Checked(Check),
    Http,
}

/// One conversation, as the peer saw it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Talk {
    /// Bytes that the peer handed over.
    pub said: Vec<u8>,
    /// Bytes that the peer received.
    pub heard: Vec<u8>,
    /// True if the handler's end arrived.
    pub ended: bool,
    /// True if nothing more comes: everything had its time, and nothing broke the connection. What
    /// is missing then is missing for ever.
    pub is_whole: bool,
    /// Why the connection is gone, if it is.
    pub closed: Option<Closed>,
}

impl Peer {
    fn new(says: Says, manner: Manner) -> Self {
        Self {
            says,
            manner,
            wants: Wants::Anything,
            partly: false,
        }
    }

    /// Makes a peer that says `bytes`, in pieces that the seed decides.
    #[must_use]
    pub fn given(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Says::Given(bytes.into()), Manner::Usual)
    }

    /// Makes a peer that says up to `most` random bytes.
    #[must_use]
    pub fn random(most: usize) -> Self {
        Self::new(Says::Random(most), Manner::Usual)
    }

    /// Makes a peer that connects and never says anything.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(Says::Given(Vec::new()), Manner::Silent)
    }

    /// Makes an HTTP/1.1 client that asks for each of `paths`, without waiting for answers, and
    /// wants one complete response to each.
    #[must_use]
    pub fn http(paths: &[&str]) -> Self {
        let mut bytes = Vec::new();
        for path in paths {
            bytes.extend(format!("GET {path} HTTP/1.1\r\nHost: sim\r\n\r\n").bytes());
        }
        Self {
            wants: Wants::Http,
            ..Self::given(bytes)
        }
    }

    /// Makes the peer slow: it says little at a time, and lets its receive buffer fill.
    #[must_use]
    pub fn slow(self) -> Self {
        self.with(Manner::Slow)
    }

    /// Makes the peer reset the connection somewhere on the way.
    #[must_use]
    pub fn resetting(self) -> Self {
        self.with(Manner::Resetting)
    }

    /// Makes the peer end its direction after its last byte, and receive on.
    #[must_use]
    pub fn half_closing(self) -> Self {
        self.with(Manner::HalfClosing)
    }

    fn with(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    /// Wants exactly the bytes that `answer` computes from all that was said. What was answered to
    /// a beginning must be a beginning of what is answered to the whole.
    #[must_use]
    pub fn expects(self, answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let wants = Wants::Bytes(Arc::new(answer));
        Self { wants, ..self }
    }

    /// As [`Self::expects`], but what is answered may break off anywhere.
    #[must_use]
    pub fn expects_at_most(
        self,
        answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let mut peer = self.expects(answer);
        peer.partly = true;
        peer
    }

    /// Has each conversation checked by `check`, which is called now and then and at the end.
    #[must_use]
    pub fn checked_by(
        self,
        check: impl Fn(&Talk) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let wants = Wants::Checked(Arc::new(check));
        Self { wants, ..self }
    }

    /// Returns all that the peer has to say on one connection.
    pub(crate) fn input(&self, rng: &mut Rng) -> Vec<u8> {
        match &self.says {
            Says::Given(bytes) => bytes.clone(),
            Says::Random(most) => {
                let len = rng.index(most + 1);
                (0..len).map(|_| rng.next() as u8).collect()
            }
        }
    }

    /// Returns true if something is wanted of the handler.
    pub(crate) const fn wants_something(&self) -> bool {
        !matches!(self.wants, Wants::Anything)
    }

    /// Checks a conversation. What is missing counts only if it is whole.
    pub(crate) fn check(&self, talk: &Talk) -> Result<(), String> {
        match &self.wants {
            Wants::Anything => Ok(()),
            Wants::Checked(check) => check(talk),
            Wants::Http => http::check(talk),
            Wants::Bytes(answer) => {
                let wanted = answer(&talk.said);
                exact(&wanted, &talk.heard)?;
                let missing = wanted.len() - talk.heard.len();
                if talk.is_whole && !self.partly && missing > 0 {
                    return Err(format!(
                        "{missing} of {} bytes never came, from byte {} on",
                        wanted.len(),
                        talk.heard.len()
                    ));
                }
                Ok(())
            }
        }
    }
}

/// Returns where `heard` is no beginning of `wanted`.
fn exact(wanted: &[u8], heard: &[u8]) -> Result<(), String> {
    let equal = wanted.iter().zip(heard).take_while(|(a, b)| a == b).count();
    if equal == heard.len() {
        return Ok(());
    }
    let around = |bytes: &[u8]| {
        let from = equal.min(bytes.len());
        let to = (from + 12).min(bytes.len());
        bytes[from..to].escape_ascii().to_string()
    };
    Err(format!(
        "byte {equal} is wrong: \"{}\" came instead of \"{}\"",
        around(heard),
        around(wanted)
    ))
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("says", &self.says)
            .field("manner", &self.manner)
            .finish_non_exhaustive()
    }
}
