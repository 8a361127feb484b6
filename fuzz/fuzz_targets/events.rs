#![no_main]
//! Bytes decide what the network answers and what programs do; see `usockets_tests::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::fuzz::fuzz_events(bytes));
