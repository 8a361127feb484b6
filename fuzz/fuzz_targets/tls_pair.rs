#![no_main]
//! Bytes decide what two ends do and what the pipes between them deliver; see
//! `usockets_tests_tls::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests_tls::fuzz::fuzz_tls_pair(bytes));
