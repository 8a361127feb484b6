#![no_main]
//! Certificates that a server shows; see `usockets_tests_tls::fuzz_chain`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests_tls::fuzz_chain::fuzz_tls_chain(bytes));
