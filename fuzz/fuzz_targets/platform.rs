#![no_main]
//! Bytes are every answer of a platform, and what the program on it does; see
//! `usockets_tests::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::fuzz::fuzz_platform(bytes));
