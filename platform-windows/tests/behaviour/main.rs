//! What the platform does, through the loop: a file for each behaviour, one program for all, as
//! starting one takes long under Wine.
#![cfg(windows)]
#![expect(
    clippy::arithmetic_side_effects,
    reason = "a sum that overflows fails the test"
)]

#[cfg(test)]
mod many_ready;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod options;
#[cfg(test)]
mod reset_while_paused;
#[cfg(test)]
mod support;
#[cfg(test)]
mod waker;
