#![no_main]
//! Bytes are parsed as a header of the PROXY protocol; see `usockets_tests::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::fuzz::fuzz_proxy(bytes));
