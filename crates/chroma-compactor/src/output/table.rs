//! Tables for people: columns without borders. Cells are escaped, so that a name cannot forge a row.

use comfy_table::presets::NOTHING;

use super::escaped;

/// A table with a header line.
pub(crate) struct Table {
    inner: comfy_table::Table,
}

impl Table {
    /// A table with these column names, which it shows in capitals.
    pub(crate) fn new<'a>(header: impl IntoIterator<Item = &'a str>) -> Self {
        let mut inner = comfy_table::Table::new();
        inner
            .load_preset(NOTHING)
            .set_header(header.into_iter().map(str::to_uppercase));
        Self { inner }
    }

    /// Adds a row with a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| escaped(&cell).into_owned());
        self.inner.add_row(cells);
    }

    /// The text of the table, without spaces at the ends of its lines.
    pub(crate) fn render(&self) -> String {
        let text = self.inner.to_string();
        text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
    }
}
