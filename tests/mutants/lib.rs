//! Tests of behaviour in one program: on the simulated network, or on the stack in user space.
#![cfg(test)]

#[cfg(feature = "sim-only")]
mod on_sim;
#[cfg(feature = "stack")]
mod on_stack;
