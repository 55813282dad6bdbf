//! The modules of a crate: their files, what they use, and what they re-export.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::Item;

use super::paths::{Place, Use, is_for_tests, paths_of};
use crate::command::TaskError;

/// One file.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) file: PathBuf,
    /// Every path that starts at the crate, at a parent or at the module itself, with its line.
    pub(super) uses: Vec<Use>,
    /// What `use` declarations bring in, by the name that it has here; `*` for all of a module.
    pub(super) imports: Vec<(String, Place)>,
}

/// All modules of a crate that are in files.
#[derive(Debug, Default)]
pub(super) struct Tree(pub(super) BTreeMap<Place, Module>);

impl Tree {
    /// Reads a crate from `lib.rs` or `main.rs` on. Modules for tests are left out.
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

    /// The module that defines what `path` names, as far as re-exports lead.
    pub(super) fn definition(&self, path: &[String]) -> Place {
        let mut place = Place::new();
        let mut rest = path;
        // A re-export may name another one; a path is as long as its longest chain of them.
        for _ in 0..MOST_STEPS {
            let Some((next, after)) = rest.split_first() else {
                return place;
            };
            let child = [place.clone(), vec![next.clone()]].concat();
            if self.0.contains_key(&child) {
                (place, rest) = (child, after);
                continue;
            }
            let imports = self.0.get(&place).map(|module| module.imports.as_slice());
            let imports = imports.unwrap_or_default();
            let named = imports.iter().find(|(name, _)| name == next);
            let Some((_, target)) = named else {
                return place;
            };
            return self.definition_from(target, after);
        }
        place
    }

    fn definition_from(&self, target: &[String], after: &[String]) -> Place {
        self.definition(&[target, after].concat())
    }
}

/// Longer paths are none that people write.
const MOST_STEPS: usize = 32;
