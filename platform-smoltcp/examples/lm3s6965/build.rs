//! Tells the linker which layout each image has: `memory.x` in its folder, included by the
//! `link.x` of cortex-m-rt.

use std::env;

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rerun-if-changed=layout");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bin=http=-L{here}/layout/http");
}
