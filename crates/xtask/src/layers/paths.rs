//! Finds the paths in a file that lead to other modules of its crate.

use syn::visit::{self, Visit};
use syn::{File, ItemMod, ItemUse, UseTree};

/// The path of a module from the root of its crate, such as `["cycle", "batch"]`. That of the root is empty.
pub(super) type Place = Vec<String>;

/// A path that a file uses.
#[derive(Debug)]
pub(super) struct Use {
    /// The path from the root of the crate. It may go on to an item of a module.
    pub(super) path: Place,
    /// The line of the file, counted from 1.
    pub(super) line: usize,
}

/// All paths in the file of the module at `place`, and the names that its `use` declarations bring in, each
/// with the path that it stands for. Paths in the arguments of macros are not seen.
pub(super) fn paths_of(file: &File, place: &[String]) -> (Vec<Use>, Vec<(String, Place)>) {
    let mut paths = Paths {
        place: place.to_vec(),
        uses: Vec::new(),
        imports: Vec::new(),
    };
    paths.visit_file(file);
    (paths.uses, paths.imports)
}

struct Paths {
    /// The module that is read, which may be one inside the file.
    place: Place,
    uses: Vec<Use>,
    imports: Vec<(String, Place)>,
}

impl Paths {
    /// The path from the root of the crate. `None` for a path that begins at another crate, or at a name in
    /// scope.
    fn absolute(&self, segments: &[String]) -> Option<Place> {
        let mut from = match segments.first()?.as_str() {
            "crate" => Place::new(),
            "self" => self.place.clone(),
            "super" => self.place[..self.place.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        for segment in &segments[1..] {
            match segment.as_str() {
                "super" => drop(from.pop()?),
                other => from.push(other.to_owned()),
            }
        }
        Some(from)
    }

    /// Records a path that begins at this crate, and returns it.
    fn add(&mut self, segments: &[String], line: usize) -> Option<Place> {
        let path = self.absolute(segments)?;
        self.uses.push(Use {
            path: path.clone(),
            line,
        });
        Some(path)
    }

    /// Records every name of a `use` declaration.
    fn tree(&mut self, tree: &UseTree, prefix: &[String], line: usize) {
        let joined = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &joined(path.ident.to_string()), line),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, prefix, line);
                }
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                match (name.as_str(), prefix.last()) {
                    ("self", Some(own)) => self.leaf(prefix, own.clone(), line),
                    _ => self.leaf(&joined(name.clone()), name, line),
                }
            }
            UseTree::Rename(rename) => {
                let path = joined(rename.ident.to_string());
                self.leaf(&path, rename.rename.to_string(), line);
            }
            UseTree::Glob(_) => drop(self.add(prefix, line)),
        }
    }

    /// Records one name of a `use` declaration, and the path that it stands for.
    fn leaf(&mut self, segments: &[String], name: String, line: usize) {
        let path = self.add(segments, line);
        // A path without `crate`, `self` or `super` begins at a child of this module, or at another crate. The
        // tree has no module for the latter.
        let path = path.unwrap_or_else(|| [&self.place, segments].concat());
        self.imports.push((name, path));
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let line = item.use_token.span.start().line;
        self.tree(&item.tree, &[], line);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            self.place.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.place.pop();
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        let segments: Vec<String> = segments.map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            let _ = self.add(&segments, first.ident.span().start().line);
            // `module::item`, where a `use` declaration brings in `module`.
            if segments.len() > 1 {
                let known = self.imports.iter().find(|(name, _)| *name == segments[0]);
                if let Some((_, target)) = known {
                    let path = [target, &segments[1..]].concat();
                    let line = first.ident.span().start().line;
                    self.uses.push(Use { path, line });
                }
            }
        }
        visit::visit_path(self, path);
    }
}

/// Whether one of the attributes is `#[cfg(test)]`.
pub(super) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        is_cfg
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|condition| condition.is_ident("test"))
    })
}
