#![no_main]
//! Bytes attack a client; see `usockets_tests_tls::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests_tls::fuzz::fuzz_tls_client(bytes));
