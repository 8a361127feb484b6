#![no_main]
//! Peers as slow as the bytes say stand around a server; see `usockets_tests::slow::stage`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::slow::stage::fuzz(bytes));
