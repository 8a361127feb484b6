#![no_main]
//! Bytes are what a client of the example's HTTP server sends; see `usockets_tests::http`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::http::fuzz_http(bytes));
