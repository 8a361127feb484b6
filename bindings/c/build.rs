//! Gives the shared library the name that programs look for when they start.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=USOCKETS_C_NAME");
    println!("cargo::rerun-if-env-changed=USOCKETS_C_SOCKETS");
    let name = std::env::var("USOCKETS_C_NAME").unwrap_or_else(|_| "usockets_c".into());
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,lib{name}.so.0");
}
