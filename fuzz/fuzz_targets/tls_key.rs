#![no_main]
//! Private keys; see `usockets_tests_tls::fuzz_documents`.
use usockets_tests_tls::fuzz_documents::fuzz_tls_key;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_tls_key(bytes));
