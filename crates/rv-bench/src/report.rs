//! The tables that are printed.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    load::{Measured, Streams},
    process::Memory,
    server::Kind,
};

/// A column of the comparison: a server and how it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Column {
    pub(crate) kind: Kind,
    pub(crate) streams: Streams,
}

impl Column {
    /// What all others are compared with: the stock server as its own client asks it.
    pub(crate) const STOCK: Self = Self::new(Kind::Stock, Streams::OneRequest);

    /// In the order in which they are printed.
    pub(crate) const ALL: [Self; 8] = [
        Self::STOCK,
        Self::new(Kind::Memory, Streams::OneRequest),
        Self::new(Kind::Durable, Streams::OneRequest),
        Self::new(Kind::Echo, Streams::OneRequest),
        Self::new(Kind::Memory, Streams::Kept),
        Self::new(Kind::Durable, Streams::Kept),
        Self::new(Kind::Go, Streams::Kept),
        Self::new(Kind::Echo, Streams::Kept),
    ];

    const fn new(kind: Kind, streams: Streams) -> Self {
        Self { kind, streams }
    }

    fn title(self) -> String {
        let streams = match self.streams {
            Streams::OneRequest => "one a stream",
            Streams::Kept => "stream kept",
        };
        format!("{}, {streams}", server_title(self.kind))
    }
}

/// A server's name in the tables.
pub(crate) fn server_title(kind: Kind) -> &'static str {
    match kind {
        Kind::Stock => "stock",
        Kind::Memory => "rv memory",
        Kind::Durable => "rv durable",
        Kind::Go => "go durable",
        Kind::Echo => "echo",
    }
}

/// One operation at one number of registrations, on all servers.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) operation: &'static str,
    pub(crate) registered: u32,
    pub(crate) cells: BTreeMap<Column, Measured>,
}

impl Row {
    /// Bytes of an average request and of an average answer: ours if we were measured.
    pub(crate) fn bytes(&self) -> Option<(u64, u64)> {
        let ours = self
            .cells
            .iter()
            .find(|(column, _)| column.kind == Kind::Memory);
        let (_, measured) = ours.or_else(|| self.cells.iter().next())?;
        Some((measured.request_bytes, measured.answer_bytes))
    }

    fn ratio(&self, column: Column, of: impl Fn(&Measured) -> f64) -> Option<f64> {
        let stock = self.cells.get(&Column::STOCK).map(&of)?;
        let cell = self.cells.get(&column).map(&of)?;
        (column != Column::STOCK && stock > 0.0).then(|| cell / stock)
    }
}

/// A server that uses less of its processor was not the one that set the rate.
const SATURATED_MIN: f64 = 0.85;

/// Requests a second, with the ratio to stock. A star marks rates that something else than the
/// server's processor set.
pub(crate) fn rates(rows: &[Row]) -> String {
    let mut table = comparison(rows, Measured::requests_per_sec, |measured| {
        let share = measured.server_cpu.as_secs_f64() / measured.elapsed.as_secs_f64();
        let star = if share < SATURATED_MIN { "*" } else { "" };
        format!("{:.0}{star}", measured.requests_per_sec())
    });
    table.push_str(
        "\n*: the server's processor was not busy all the time; the rate is that of the clients, \
         the disk or other programs.\n",
    );
    table
}

/// Server CPU in microseconds per request, with the ratio to stock.
pub(crate) fn costs(rows: &[Row]) -> String {
    comparison(rows, Measured::cpu_us, |measured| {
        format!("{:.1}", measured.cpu_us())
    })
}

fn comparison(
    rows: &[Row],
    value: impl Fn(&Measured) -> f64,
    show: impl Fn(&Measured) -> String,
) -> String {
    let columns: Vec<Column> = Column::ALL
        .into_iter()
        .filter(|column| rows.iter().any(|row| row.cells.contains_key(column)))
        .collect();
    let mut headers = vec![
        "operation".to_owned(),
        "registered".to_owned(),
        "answer".to_owned(),
    ];
    headers.extend(columns.iter().map(|column| column.title()));
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let answer = row
                .bytes()
                .map_or_else(dash, |(_, answer)| format!("{answer} B"));
            let mut line = vec![row.operation.to_owned(), row.registered.to_string(), answer];
            line.extend(columns.iter().map(|&column| {
                let Some(measured) = row.cells.get(&column) else {
                    return dash();
                };
                let mut cell = show(measured);
                if let Some(ratio) = row.ratio(column, &value) {
                    let _ = write!(cell, " (x{ratio:.2})");
                }
                if measured.failures > 0 {
                    let _ = write!(cell, ", {} FAILED", measured.failures);
                }
                cell
            }));
            line
        })
        .collect();
    markdown(&headers, &lines)
}

/// A server's memory at one number of registrations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryRow {
    pub(crate) kind: Kind,
    pub(crate) registered: u32,
    /// When it had just started.
    pub(crate) empty: Memory,
    /// When all had registered and gone.
    pub(crate) loaded: Memory,
    /// After the measurements.
    pub(crate) measured: Memory,
}

/// Resident memory of the servers.
pub(crate) fn memory(rows: &[MemoryRow]) -> String {
    let headers = [
        "server",
        "registered",
        "empty",
        "loaded",
        "after the load",
        "peak",
    ];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                server_title(row.kind).to_owned(),
                row.registered.to_string(),
                mebibytes(row.empty.resident_kib as f64),
                mebibytes(row.loaded.resident_kib as f64),
                mebibytes(row.measured.resident_kib as f64),
                mebibytes(row.measured.peak_kib as f64),
            ]
        })
        .collect();
    markdown(&headers.map(str::to_owned), &lines)
}

/// Memory as the tables show it.
pub(crate) fn mebibytes(kib: f64) -> String {
    format!("{:.1} MiB", kib / 1024.0)
}

fn dash() -> String {
    "-".to_owned()
}

/// A markdown table, padded so that it reads well unrendered: text to the left in the first
/// column, figures to the right in the others.
pub(crate) fn markdown(headers: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .chain(headers.get(column));
        cells.map(String::len).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..headers.len()).map(width).collect();
    let mut table = String::new();
    let mut line = |cells: &[String]| {
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(table, "| {cell:<width$} "),
                _ => write!(table, "| {cell:>width$} "),
            };
        }
        table.push_str("|\n");
    };
    line(headers);
    let rules: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column {
            0 => "-".repeat(*width),
            _ => format!("{}:", "-".repeat(width - 1)),
        })
        .collect();
    line(&rules);
    for row in rows {
        line(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn measured(requests: u64, cpu: Duration, failures: u64) -> Measured {
        Measured {
            requests,
            failures,
            elapsed: Duration::from_secs(2),
            server_cpu: cpu,
            request_bytes: 20,
            answer_bytes: 22_000,
        }
    }

    #[test]
    fn a_table_is_padded_markdown() {
        let headers = ["what", "n"].map(str::to_owned);
        let rows = [
            vec!["a".to_owned(), "10000".to_owned()],
            vec!["bcdefg".to_owned(), "1".into()],
        ];
        let want = "| what   |     n |\n\
                    | ------ | ----: |\n\
                    | a      | 10000 |\n\
                    | bcdefg |     1 |\n";
        assert_eq!(markdown(&headers, &rows), want);
    }

    #[test]
    fn cells_show_the_value_and_the_ratio_to_stock() {
        let memory = Column::new(Kind::Memory, Streams::Kept);
        let row = Row {
            operation: "DISCOVER",
            registered: 1000,
            cells: BTreeMap::from([
                (Column::STOCK, measured(2000, Duration::from_secs(2), 0)),
                (memory, measured(8000, Duration::from_secs(1), 3)),
            ]),
        };
        let rates = rates(std::slice::from_ref(&row));
        assert!(rates.contains("4000* (x4.00), 3 FAILED |"), "{rates}");
        let costs = costs(&[row]);
        assert!(
            costs.contains("| 500.0 |") || costs.contains(" 1000.0 |"),
            "{costs}"
        );
        assert!(costs.contains("125.0 (x0.12), 3 FAILED |"), "{costs}");
        assert!(costs.contains("22000 B"), "{costs}");
        assert!(
            !costs.contains("echo"),
            "a server that was not measured has no column"
        );
    }

    #[test]
    fn a_cell_that_was_not_measured_is_a_dash() {
        let memory = Column::new(Kind::Memory, Streams::Kept);
        let full = measured(10, Duration::from_secs(1), 0);
        let rows = [
            Row {
                operation: "a",
                registered: 1,
                cells: BTreeMap::from([(memory, full)]),
            },
            Row {
                operation: "b",
                registered: 1,
                cells: BTreeMap::new(),
            },
        ];
        let last = costs(&rows)
            .lines()
            .last()
            .map(str::to_owned)
            .expect("two rows");
        assert!(last.ends_with(" - |"), "{last}");
    }
}
