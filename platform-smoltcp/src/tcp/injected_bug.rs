//! Bugs that a test build can be given, one at a time, to prove that the tests find them.
//!
//! A place that a bug changes asks `injected_bug!(Name)`, which is the constant `false` without
//! the feature `injected-bugs`, for which no program has a use.

#[cfg(feature = "injected-bugs")]
use core::sync::atomic::{AtomicU8, Ordering};

/// Is true while this bug is injected; the constant `false` in programs.
macro_rules! injected_bug {
    ($bug:ident) => {
        $crate::tcp::injected_bug::is_active($crate::tcp::injected_bug::InjectedBug::$bug)
    };
}
pub(crate) use injected_bug;

/// A bug in the TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    feature = "injected-bugs",
    expect(clippy::exhaustive_enums, reason = "only for this project's own tests")
)]
#[cfg_attr(
    not(feature = "injected-bugs"),
    expect(unreachable_pub, reason = "exported with the feature only")
)]
#[repr(u8)]
pub enum InjectedBug {
    /// A FIN that comes out of order is forgotten.
    LostFin = 1,
    /// A segment whose acknowledgement is old is dropped with its text.
    OldAckDropsText,
    /// A range that is out of date moves RCV.NXT back.
    RegressingNext,
    /// The right edge of the window is taken back.
    ShrinkingWindow,
    /// The receiver offers windows of any size.
    SillyWindow,
    /// A closed window is not probed.
    NoWindowProbe,
    /// The window's scale is not applied.
    UnscaledWindow,
    /// What was sent twice is measured.
    AmbiguousRoundTrip,
    /// The retransmission timeout does not grow.
    NoBackOff,
    /// A timeout sends everything again at once.
    NoSlowStart,
    /// Any reset in the window is believed.
    BlindReset,
    /// What was not sent may be acknowledged.
    OptimisticAck,
    /// Forged segments are answered without limit.
    ChallengeStorm,
    /// A segment with an old timestamp is taken.
    NoPaws,
    /// A reset ends TIME-WAIT.
    Assassination,
    /// Small segments do not wait for acknowledgements, though they are asked to.
    NoNagle,
    /// A partial acknowledgement repairs nothing.
    PartialAckIgnored,
    /// Every echo of congestion reduces the window.
    EveryEchoReduces,
    /// Segments that vanish for their size go again as they are.
    BlackHole,
}

#[cfg(feature = "injected-bugs")]
impl InjectedBug {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::LostFin,
        Self::OldAckDropsText,
        Self::RegressingNext,
        Self::ShrinkingWindow,
        Self::SillyWindow,
        Self::NoWindowProbe,
        Self::UnscaledWindow,
        Self::AmbiguousRoundTrip,
        Self::NoBackOff,
        Self::NoSlowStart,
        Self::BlindReset,
        Self::OptimisticAck,
        Self::ChallengeStorm,
        Self::NoPaws,
        Self::Assassination,
        Self::NoNagle,
        Self::PartialAckIgnored,
        Self::EveryEchoReduces,
        Self::BlackHole,
    ];
}

#[cfg(feature = "injected-bugs")]
static ACTIVE: AtomicU8 = AtomicU8::new(0);

/// Injects a bug into every connection of the process, in place of the one before; or none.
#[cfg(feature = "injected-bugs")]
pub fn inject(bug: Option<InjectedBug>) {
    #[expect(clippy::as_conversions, reason = "the discriminant")]
    ACTIVE.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
}

/// Returns true if this bug is injected.
#[cfg(feature = "injected-bugs")]
pub(crate) fn is_active(bug: InjectedBug) -> bool {
    #[expect(clippy::as_conversions, reason = "the discriminant")]
    let is = ACTIVE.load(Ordering::Relaxed) == bug as u8;
    is
}

/// Returns false.
#[cfg(not(feature = "injected-bugs"))]
#[inline(always)]
pub(crate) const fn is_active(_: InjectedBug) -> bool {
    false
}
