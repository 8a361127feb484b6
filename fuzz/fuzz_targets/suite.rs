#![no_main]
//! Bytes choose a test of the conformance suite and the network that it runs on; see
//! `usockets_tests::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::fuzz::fuzz_suite(bytes));
