//! Where the statics of a program lie.

use std::fs;
use std::io;
use std::path::Path;

use object::read::{File, Object, ObjectSection, ObjectSymbol};
use object::{SectionKind, SymbolKind};

/// Bytes of the statics whose path ends in one of `names`, and how many of these bytes take place
/// in the file because they are not in a section of zeros.
pub fn statics(program: &Path, names: &[&str]) -> io::Result<(u64, u64)> {
    let data = fs::read(program)?;
    let file = File::parse(&*data).map_err(io::Error::other)?;
    let (mut all, mut in_file) = (0, 0);
    for name in names {
        // The mangled path: length and name, then the hash.
        let part = format!("{}{name}", name.len());
        let symbol = file.symbols().find(|symbol| {
            symbol.kind() == SymbolKind::Data
                && symbol.name().is_ok_and(|name| name.contains(&part))
        });
        let symbol = symbol.ok_or_else(|| io::Error::other(format!("no static {name}")))?;
        let index = symbol.section_index();
        let section = index.and_then(|index| file.section_by_index(index).ok());
        all += symbol.size();
        if section.is_none_or(|section| section.kind() != SectionKind::UninitializedData) {
            in_file += symbol.size();
        }
    }
    Ok((all, in_file))
}
