#![no_main]
//! Bytes make values of the core; see `usockets_tests::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::fuzz::fuzz_values(bytes));
