//! Types of other crates in the libraries' public interface, and why they are there: whoever names
//! one is bound to that crate's version.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Item, UseTree, Visibility};

/// The crates whose types are looked for.
const FOREIGN: [&str; 2] = ["rustix", "smoltcp"];

/// Library, type, why.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "platform-linux",
        "rustix::fd::AsFd",
        "std's type without std: descriptors are handed to a loop, and a loop to an outer one",
    ),
    (
        "platform-linux",
        "rustix::fd::BorrowedFd",
        "std's type without std: descriptors are handed to a loop, and a loop to an outer one",
    ),
    (
        "platform-linux",
        "rustix::fd::OwnedFd",
        "std's type without std: descriptors are handed to a loop, and a loop to an outer one",
    ),
    (
        "platform-posix",
        "rustix::event::Timespec",
        "what a selector of a system waits for, as the system has it",
    ),
    (
        "platform-posix",
        "rustix::fd::AsFd",
        "std's type without std: descriptors are handed to a loop, and a loop to an outer one",
    ),
    (
        "platform-posix",
        "rustix::fd::BorrowedFd",
        "std's type without std: descriptors are handed to a loop, and a loop to an outer one",
    ),
    (
        "platform-posix",
        "rustix::fd::OwnedFd",
        "std's type without std: descriptors are handed to a loop, and a loop to an outer one",
    ),
    (
        "platform-posix",
        "rustix::io::Errno",
        "what a system call of a selector failed with",
    ),
    (
        "platform-smoltcp",
        "rustix::fd::AsFd",
        "a TAP device in an outer loop",
    ),
    (
        "platform-smoltcp",
        "rustix::fd::BorrowedFd",
        "a TAP device in an outer loop",
    ),
    (
        "platform-smoltcp",
        "smoltcp::iface::Interface",
        "feature `smoltcp`: the program configures the interface itself",
    ),
    (
        "platform-smoltcp",
        "smoltcp::iface::SocketHandle",
        "feature `smoltcp`: sockets of its own beside the loop",
    ),
    (
        "platform-smoltcp",
        "smoltcp::iface::SocketStorage",
        "feature `smoltcp`: memory that the program hands over",
    ),
    (
        "platform-smoltcp",
        "smoltcp::phy::Device",
        "feature `smoltcp`: any device of its ecosystem is a device here",
    ),
    (
        "platform-smoltcp",
        "smoltcp::phy::DeviceCapabilities",
        "what that trait demands",
    ),
    (
        "platform-smoltcp",
        "smoltcp::socket::AnySocket",
        "feature `smoltcp`: sockets of its own beside the loop",
    ),
    (
        "platform-smoltcp",
        "smoltcp::socket::Socket",
        "feature `smoltcp`: sockets of its own beside the loop",
    ),
    (
        "platform-smoltcp",
        "smoltcp::time::Instant",
        "what that trait of devices demands",
    ),
];

/// What one file imports from the foreign crates, and which of it its public items name.
#[derive(Default)]
struct Interface {
    imported: BTreeMap<String, String>,
    named: BTreeSet<String>,
    /// Types of the file that it keeps to its crate.
    private: BTreeSet<String>,
    /// Inside of what is public.
    is_public: bool,
}

impl Interface {
    fn import(&mut self, tree: &UseTree, before: &str) {
        let path = |name: &syn::Ident| match before {
            "" => name.to_string(),
            before => format!("{before}::{name}"),
        };
        match tree {
            UseTree::Path(tree) => self.import(&tree.tree, &path(&tree.ident)),
            UseTree::Name(tree) => self.note(tree.ident.to_string(), path(&tree.ident)),
            UseTree::Rename(tree) => self.note(tree.rename.to_string(), path(&tree.ident)),
            UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|tree| self.import(tree, before)),
            UseTree::Glob(_) => {}
        }
    }

    fn note(&mut self, name: String, path: String) {
        let root = path.split("::").next().unwrap_or_default();
        if FOREIGN.contains(&root) {
            self.imported.insert(name, path);
        }
    }

    /// Returns true for a type that only its crate sees.
    fn is_private(&self, of: &syn::Type) -> bool {
        match of {
            syn::Type::Path(path) => {
                let name = path.path.segments.last();
                name.is_some_and(|name| self.private.contains(&name.ident.to_string()))
            }
            _ => false,
        }
    }

    fn within(&mut self, is_public: bool, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.is_public, is_public);
        visit(self);
        self.is_public = before;
    }
}

const fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

impl<'ast> Visit<'ast> for Interface {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if self.is_public
            && let Some(first) = path
                .segments
                .first()
                .map(|segment| segment.ident.to_string())
        {
            let rest = path
                .segments
                .iter()
                .skip(1)
                .map(|segment| format!("::{}", segment.ident));
            let rest: String = rest.collect();
            if let Some(known) = self.imported.get(&first) {
                self.named.insert(format!("{known}{rest}"));
            } else if FOREIGN.contains(&&*first) {
                self.named.insert(format!("{first}{rest}"));
            }
        }
        visit::visit_path(self, path);
    }

    fn visit_block(&mut self, _: &'ast syn::Block) {
        // What a function does is its own business.
    }

    fn visit_expr(&mut self, _: &'ast syn::Expr) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_item(&mut self, item: &'ast Item) {
        let public = match item {
            Item::Fn(item) => is_public(&item.vis),
            Item::Struct(item) => is_public(&item.vis),
            Item::Enum(item) => is_public(&item.vis),
            Item::Type(item) => is_public(&item.vis),
            Item::Const(item) => is_public(&item.vis),
            Item::Trait(item) => is_public(&item.vis),
            // Its methods say so themselves; what a trait's implementation names is as public as
            // its type.
            Item::Impl(item) => item.trait_.is_some() && !self.is_private(&item.self_ty),
            Item::Mod(item) if item.ident == "tests" => return,
            _ => false,
        };
        if let (false, Item::Struct(syn::ItemStruct { ident, .. }))
        | (false, Item::Enum(syn::ItemEnum { ident, .. })) = (public, item)
        {
            self.private.insert(ident.to_string());
        }
        self.within(public, |this| visit::visit_item(this, item));
    }

    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        let public = self.is_public || is_public(&method.vis);
        self.within(public, |this| visit::visit_impl_item_fn(this, method));
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        let public = self.is_public && is_public(&field.vis);
        self.within(public, |this| visit::visit_field(this, field));
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn each_type_of_another_crate_in_the_interface_has_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for library in [
        "core",
        "core/async",
        "platform-linux",
        "platform-posix",
        "platform-smoltcp",
    ] {
        for file in rust_files(&root.join(library).join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            let syntax = syn::parse_file(&text).unwrap();
            let mut interface = Interface::default();
            for item in &syntax.items {
                if let Item::Use(import) = item {
                    interface.import(&import.tree, "");
                }
            }
            interface.visit_file(&syntax);
            found.extend(
                interface
                    .named
                    .into_iter()
                    .map(|name| (library.to_owned(), name)),
            );
        }
    }
    let table = TABLE.iter().map(|(library, name, reason)| {
        assert!(!reason.is_empty(), "{name}");
        ((*library).to_owned(), (*name).to_owned())
    });
    let table: BTreeSet<_> = table.collect();
    let new: Vec<_> = found.difference(&table).collect();
    let gone: Vec<_> = table.difference(&found).collect();
    assert!(new.is_empty(), "without a reason: {new:#?}");
    assert!(gone.is_empty(), "no longer there: {gone:#?}");
}
