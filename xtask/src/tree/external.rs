//! Whose types a library's public items may name: a major version of those is a major version of the
//! library.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Fields, ImplItem, Item, Signature, TraitItem, Type, UseTree, Visibility};

/// The libraries, each with the crates of others that its public items may name.
const ALLOWED: &[(&str, &[&str])] = &[
    ("underseal", &["rustls", "tokio", "zeroize"]),
    ("underseal-dtls", &["boring", "openssl", "tokio"]),
    ("underseal-http", &[]),
    ("underseal-message", &[]),
    ("underseal-policy", &["serde_json"]),
    ("underseal-proxy", &["rustls", "rustls_pki_types"]),
    ("underseal-quic", &["quinn", "quinn_proto", "rustls"]),
    ("underseal-record", &[]),
    ("underseal-server", &["rustls", "rustls_pki_types", "tokio"]),
    ("underseal-sys", &["boring", "openssl", "rustix", "tokio"]),
    ("underseal-ulp", &["rustix"]),
];

/// Whose types every library may name.
const EVERYONES: &[&str] = &["std", "core", "alloc", "crate", "self", "super", "Self"];

/// What `text` names of crates that are not on the list, one line each. It goes by names, and so
/// finds also what is `pub` in a module that nobody can reach.
pub(super) fn unlisted(file: &str, text: &str) -> Vec<String> {
    let library = ALLOWED.iter().find(|(library, _)| {
        file.strip_prefix("crates/")
            .and_then(|file| file.strip_prefix(library))
            .is_some_and(|file| file.starts_with("/src/"))
    });
    let Some((library, allowed)) = library else {
        return Vec::new();
    };
    let Ok(parsed) = syn::parse_file(text) else {
        return vec![format!("{file}: it cannot be parsed")];
    };
    let mut imported = BTreeMap::new();
    for item in &parsed.items {
        if let Item::Use(item) = item {
            import(&item.tree, &[], &mut imported);
        }
    }
    for item in &parsed.items {
        if let Item::Mod(item) = item {
            imported.insert(item.ident.to_string(), "self".to_owned());
        }
    }
    let mut named = Named {
        imported,
        roots: Vec::new(),
    };
    named.items(&parsed.items);
    let is_allowed = |root: &str| {
        EVERYONES.contains(&root) || root.starts_with("underseal") || allowed.contains(&root)
    };
    let (mut roots, library) = (named.roots, *library);
    roots.retain(|(root, _)| !is_allowed(root));
    roots
        .into_iter()
        .map(|(root, item)| format!("{file}: `{item}` of {library} names a type of `{root}`"))
        .collect()
}

/// Notes the crate that each name comes from, below the `path` so far.
fn import(tree: &UseTree, path: &[String], imported: &mut BTreeMap<String, String>) {
    let root = |name: &str| path.first().map_or(name, String::as_str).to_owned();
    match tree {
        UseTree::Path(next) => {
            let longer = [path, &[next.ident.to_string()]].concat();
            import(&next.tree, &longer, imported);
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            let root = root(&name);
            // `self` is the module that it stands in.
            let module = path.last().filter(|_| name == "self");
            imported.insert(module.cloned().unwrap_or(name), root);
        }
        UseTree::Rename(rename) => {
            let root = root(&rename.ident.to_string());
            imported.insert(rename.rename.to_string(), root);
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                import(tree, path, imported);
            }
        }
        UseTree::Glob(_) => {}
    }
}

/// The crates that public items name, with the item.
struct Named {
    imported: BTreeMap<String, String>,
    roots: Vec<(String, String)>,
}

impl Named {
    fn items(&mut self, items: &[Item]) {
        let own: Vec<_> = items.iter().filter_map(public_name).collect();
        for item in items {
            self.item(item, &own);
        }
    }

    fn item(&mut self, item: &Item, own: &[String]) {
        match item {
            Item::Fn(item) if is_public(&item.vis) => self.signature(&item.sig),
            Item::Const(item) if is_public(&item.vis) => self.of(&item.ident, |v| {
                v.visit_type(&item.ty);
            }),
            Item::Type(item) if is_public(&item.vis) => self.of(&item.ident, |v| {
                v.visit_type(&item.ty);
            }),
            Item::Struct(item) if is_public(&item.vis) => self.of(&item.ident, |v| {
                v.visit_generics(&item.generics);
                v.fields(&item.fields, false);
            }),
            Item::Enum(item) if is_public(&item.vis) => self.of(&item.ident, |v| {
                v.visit_generics(&item.generics);
                for variant in &item.variants {
                    v.fields(&variant.fields, true);
                }
            }),
            Item::Trait(item) if is_public(&item.vis) => {
                for member in &item.items {
                    if let TraitItem::Fn(member) = member {
                        self.signature(&member.sig);
                    }
                }
            }
            Item::Use(item) if is_public(&item.vis) => {
                let mut again = BTreeMap::new();
                import(&item.tree, &[], &mut again);
                let again = again.into_iter().map(|(name, root)| {
                    let root = self.imported.get(&root).cloned().unwrap_or(root);
                    (root, name)
                });
                self.roots.extend(again);
            }
            Item::Impl(item) if own.contains(&name_of(&item.self_ty)) => match &item.trait_ {
                None => self.members(&item.items),
                Some((_, path, _)) => {
                    let name = name_of(&item.self_ty);
                    self.of(&name, |v| v.visit_path(path));
                }
            },
            Item::Mod(item) if is_public(&item.vis) => {
                if let Some((_, items)) = &item.content {
                    self.items(items);
                }
            }
            _ => {}
        }
    }

    fn members(&mut self, members: &[ImplItem]) {
        for member in members {
            match member {
                ImplItem::Fn(member) if is_public(&member.vis) => self.signature(&member.sig),
                ImplItem::Const(member) if is_public(&member.vis) => {
                    self.of(&member.ident, |v| v.visit_type(&member.ty));
                }
                _ => {}
            }
        }
    }

    fn signature(&mut self, signature: &Signature) {
        self.of(&signature.ident, |v| {
            v.visit_generics(&signature.generics);
            for input in &signature.inputs {
                v.visit_fn_arg(input);
            }
            v.visit_return_type(&signature.output);
        });
    }

    fn of(&mut self, item: &impl ToString, look: impl FnOnce(&mut Paths<'_>)) {
        let mut paths = Paths {
            imported: &self.imported,
            roots: Vec::new(),
        };
        look(&mut paths);
        let item = item.to_string();
        let roots = paths.roots.into_iter();
        let roots = roots.map(|root| match self.imported.get(&root) {
            Some(origin) => (origin.clone(), item.clone()),
            None => (root, item.clone()),
        });
        self.roots.extend(roots);
    }
}

/// The crates of the paths in a part of an item.
struct Paths<'a> {
    imported: &'a BTreeMap<String, String>,
    roots: Vec<String>,
}

impl Paths<'_> {
    fn fields(&mut self, fields: &Fields, all: bool) {
        for field in fields {
            if all || is_public(&field.vis) {
                self.visit_type(&field.ty);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            let first_name = first.ident.to_string();
            match self.imported.get(&first_name) {
                Some(root) => self.roots.push(root.clone()),
                // A crate by its name, and not a variant or an associated type.
                None if path.segments.len() > 1 && first_name.starts_with(char::is_lowercase) => {
                    self.roots.push(first_name);
                }
                None => {}
            }
        }
        visit::visit_path(self, path);
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn public_name(item: &Item) -> Option<String> {
    let (visibility, ident) = match item {
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    is_public(visibility).then(|| ident.to_string())
}

/// The name of a type, without its path.
fn name_of(item: &Type) -> String {
    match item {
        Type::Path(path) => {
            let last = path.path.segments.last();
            last.map_or_else(String::new, |last| last.ident.to_string())
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        unlisted("crates/underseal/src/a.rs", text)
    }

    #[test]
    fn a_type_of_another_crate_is_found_wherever_it_is_public() {
        for text in [
            "pub fn f(a: &rustix::io::Errno) {}",
            "use rustix::io::Errno;\npub fn f() -> Option<Errno> { None }",
            "use rustix::io as kernel;\npub struct S { pub a: kernel::Errno }",
            "use rustix::io::Errno;\npub enum E { A(Vec<Errno>) }",
            "pub struct S;\nimpl From<rustix::io::Errno> for S {}",
            "pub struct S;\nimpl S { pub fn f(self) -> rustix::io::Errno {} }",
            "pub trait T { fn f(&self, a: rustix::io::Errno); }",
            "pub type A = rustix::io::Errno;",
            "pub use rustix::io::Errno;",
            "pub fn f<T: rustix::fd::AsFd>(t: T) {}",
            "pub mod m { pub const A: rustix::io::Errno = 0; }",
        ] {
            let found = found(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].ends_with(" of underseal names a type of `rustix`"));
        }
    }

    #[test]
    fn what_is_listed_or_not_public_is_not_found() {
        for text in [
            "use rustls::Error;\npub fn f(e: Error) -> std::io::Result<()> {}",
            "mod m;\npub use m::A;\nuse m::B;\npub fn f(b: B, c: m::C) {}",
            "use std::io::{self, Read};\npub fn f(r: impl Read) -> io::Result<()> {}",
            "use crate::Error;\npub fn f(e: Error, c: super::Other, s: underseal_sys::X) {}",
            "fn f(a: rustix::io::Errno) {}",
            "pub(crate) fn f(a: rustix::io::Errno) {}",
            "pub struct S { a: rustix::io::Errno }",
            "struct S;\nimpl From<rustix::io::Errno> for S {}",
            "pub fn f() { rustix::io::read(); }",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
        let elsewhere = unlisted("bench/src/a.rs", "pub fn f(a: rustix::io::Errno) {}");
        assert!(elsewhere.is_empty());
    }
}
