//! Compiles the shim against DPDK's headers, which pkg-config finds, and links DPDK's libraries.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/shim.c");
    println!("cargo::rerun-if-changed=src/shim_ring.c");
    for variable in ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if let Err(error) = build() {
        println!("cargo::error={error}");
    }
}

fn build() -> Result<(), String> {
    let flags = pkg_config("--cflags")?;
    let libraries = pkg_config("--libs")?;
    let rings = std::env::var_os("CARGO_FEATURE_RING").is_some();
    let mut shim = cc::Build::new();
    shim.file("src/shim.c").warnings(true).extra_warnings(true);
    // What of DPDK says that it may change yet: pools in memory of the caller.
    shim.define("ALLOW_EXPERIMENTAL_API", None);
    if rings {
        shim.file("src/shim_ring.c");
    }
    for flag in &flags {
        // Warnings about DPDK's own headers are no matter of ours.
        match flag.strip_prefix("-I") {
            Some(folder) => shim.flag("-isystem").flag(folder),
            None => shim.flag(flag),
        };
    }
    shim.try_compile("usockets_dpdk_shim")
        .map_err(|error| format!("the shim does not compile: {error}"))?;
    for flag in &libraries {
        if let Some(folder) = flag.strip_prefix("-L") {
            println!("cargo::rustc-link-search=native={folder}");
        } else if let Some(library) = flag.strip_prefix("-l") {
            println!("cargo::rustc-link-lib={library}");
        }
    }
    if rings {
        println!("cargo::rustc-link-lib=rte_net_ring");
    }
    Ok(())
}

/// Returns the words that pkg-config has for DPDK.
fn pkg_config(what: &str) -> Result<Vec<String>, String> {
    let program = std::env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_string());
    let output = Command::new(&program)
        .args([what, "libdpdk >= 22.11"])
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
        return Err(format!(
            "DPDK 22.11 or newer is needed (Debian: libdpdk-dev): {said}"
        ));
    }
    let words = String::from_utf8_lossy(&output.stdout);
    Ok(words.split_whitespace().map(str::to_string).collect())
}
