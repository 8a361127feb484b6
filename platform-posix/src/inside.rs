//! A loop inside the event loop of another library.

use usockets::{Duration, Error, Handler, Instant, Loop, Platform};

/// Iterations in one go, so that the outer loop's other work gets its turn.
const TURNS_MAX: u32 = 16;

/// Runs a loop inside another one: iterations that do not wait, until nothing more is due. Returns
/// how long the outer loop may wait for the descriptor of `inner` before it calls this again:
/// `None` for ever; zero if it is to come back after its other work.
///
/// The outer loop watches the descriptor for reading ([`AsFd`](rustix::fd::AsFd) of the loop). It
/// may do so level-triggered or edge-triggered; one that is edge-triggered forgets what it was told
/// *before* it calls this, not after. Call it once before the first wait, and after using the loop
/// from outside.
///
/// It costs one system call more than a loop of its own: the outer wait. Nothing is asked twice,
/// because the loop knows when the last wait did not bring all there is.
///
/// # Errors
/// As [`Loop::poll`].
///
/// # Example
///
/// ```
/// use usockets::{Error, Handler, Loop, Opened, Platform, Socket, Sockets};
/// use usockets_posix::{Poll, Posix, poll_inside};
///
/// struct Idle;
///
/// impl<P: Platform> Handler<P> for Idle {
///     type Ext = ();
///     type Context = ();
///
///     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}
///
///     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
/// }
///
/// # fn main() -> Result<(), Error> {
/// let mut sockets = Sockets::<_, _, 4>::new();
/// let mut buffer = [0; 64];
/// let platform = Posix::new(Poll::<4>::new());
/// let mut inner = Loop::new(platform, &mut sockets, &mut buffer);
/// assert_eq!(poll_inside(&mut inner, &mut Idle)?, None); // Nothing will ever be due.
/// # Ok(())
/// # }
/// ```
pub fn poll_inside<P: Platform, H: Handler<P>>(
    inner: &mut Loop<'_, P, H>,
    handler: &mut H,
) -> Result<Option<Duration>, Error> {
    let mut wait = Some(Duration::ZERO);
    for _ in 0..TURNS_MAX {
        inner.poll(handler, Some(Instant::ZERO))?;
        wait = inner.next_wait();
        if wait != Some(Duration::ZERO) {
            break;
        }
    }
    Ok(wait)
}
