//! Tables for people.

use comfy_table::presets::NOTHING;

use super::escaped;

/// A table with a header line.
pub(crate) struct Table {
    inner: comfy_table::Table,
}

impl Table {
    pub(crate) fn new<'a>(header: impl IntoIterator<Item = &'a str>) -> Self {
        let mut inner = comfy_table::Table::new();
        inner
            .load_preset(NOTHING)
            .set_header(header.into_iter().map(str::to_uppercase));
        Self { inner }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| escaped(&cell).into_owned());
        self.inner.add_row(cells);
    }

    /// The lines, without trailing blanks.
    pub(crate) fn render(&self) -> String {
        let text = self.inner.to_string();
        text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
    }
}
