//! Gives the shared library the name that programs look for when they start.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=USOCKETS_C_NAME");
    println!("cargo::rerun-if-env-changed=USOCKETS_C_SOCKETS");
    let name = std::env::var("USOCKETS_C_NAME").unwrap_or_else(|_| "usockets_c".into());
    let vendor = std::env::var("CARGO_CFG_TARGET_VENDOR").unwrap_or_default();
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if system == "windows" {
        // It is what the file is called.
    } else if vendor == "apple" {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/lib{name}.0.dylib");
    } else {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,lib{name}.so.0");
    }
}
