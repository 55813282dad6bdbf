//! Reads the modules of a crate from their files, and follows re-exports to the module that defines an item.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::Item;

use super::paths::{Place, Use, is_for_tests, paths_of};
use crate::command::TaskError;

/// A module that has a file.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// The path of the file.
    pub(super) file: PathBuf,
    /// The paths in the file that lead to modules of the crate.
    pub(super) uses: Vec<Use>,
    /// The names that `use` declarations bring in, and the path of each.
    pub(super) imports: Vec<(String, Place)>,
}

/// All modules of a crate that have files, by their place.
#[derive(Debug, Default)]
pub(super) struct Tree(pub(super) BTreeMap<Place, Module>);

impl Tree {
    /// Reads a crate, starting at `entry`, its `lib.rs` or `main.rs`. Leaves out modules with `#[cfg(test)]`.
    ///
    /// # Errors
    /// A file cannot be read, or is not Rust.
    pub(super) fn read(entry: &Path) -> Result<Self, TaskError> {
        let mut tree = Self::default();
        let folder = entry.parent().unwrap_or(entry).to_path_buf();
        tree.add(Place::new(), entry, &folder)?;
        Ok(tree)
    }

    fn add(&mut self, place: Place, file: &Path, folder: &Path) -> Result<(), TaskError> {
        let text = fs_err::read_to_string(file)?;
        let parsed = syn::parse_file(&text).map_err(|source| TaskError::Unparsed {
            file: file.to_path_buf(),
            source,
        })?;
        let (uses, imports) = paths_of(&parsed, &place);
        for item in &parsed.items {
            let Item::Mod(module) = item else { continue };
            if module.content.is_some() || is_for_tests(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let flat = folder.join(format!("{name}.rs"));
            let below = folder.join(&name);
            let file = match flat.is_file() {
                true => flat,
                false => below.join("mod.rs"),
            };
            let child = [place.clone(), vec![name]].concat();
            self.add(child, &file, &below)?;
        }
        let module = Module {
            file: file.to_path_buf(),
            uses,
            imports,
        };
        self.0.insert(place, module);
        Ok(())
    }

    /// The module that defines what `path` names. Follows re-exports by name, as far as they lead within the
    /// crate.
    pub(super) fn definition(&self, path: &[String]) -> Place {
        let mut place = Place::new();
        let mut rest = path.to_vec();
        for _ in 0..MOST_STEPS {
            let Some(next) = rest.first() else {
                return place;
            };
            let child = [&place[..], &rest[..1]].concat();
            if self.0.contains_key(&child) {
                place = child;
                rest.remove(0);
                continue;
            }
            let Some(target) = self.import(&place, next) else {
                return place;
            };
            // The path that is re-exported begins at the root again.
            rest = [target, &rest[1..]].concat();
            place = Place::new();
        }
        place
    }

    /// The path that `name` stands for in the module at `place`, if a `use` declaration there brings it in.
    fn import(&self, place: &[String], name: &str) -> Option<&[String]> {
        let imports = &self.0.get(place)?.imports;
        let (_, target) = imports.iter().find(|(known, _)| known == name)?;
        Some(target)
    }
}

/// How many segments and re-exports of a path are followed. The name of another crate can stand for itself.
const MOST_STEPS: usize = 64;
