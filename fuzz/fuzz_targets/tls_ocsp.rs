#![no_main]
//! What OCSP says of a server's certificate; see `usockets_tests_tls::fuzz_documents`.
use usockets_tests_tls::fuzz_documents::fuzz_tls_ocsp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_tls_ocsp(bytes));
