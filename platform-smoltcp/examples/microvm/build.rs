//! Tells the linker where everything lies.

fn main() {
    println!("cargo:rerun-if-changed=layout.ld");
    println!(
        "cargo:rustc-link-arg-bins=-T{}/layout.ld",
        std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()
    );
}
