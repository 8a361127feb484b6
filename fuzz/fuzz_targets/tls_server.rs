#![no_main]
//! Bytes attack a server; see `usockets_tests_tls::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests_tls::fuzz::fuzz_tls_server(bytes));
