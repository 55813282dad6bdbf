//! `docs/reliability.md` prints the table of dispositions by which the daemon decides.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use compactor_core::disposition::{Resource, of_fault};
use compactor_core::ports::Fault;

/// One line per resource, disposition and reason, in the order of the faults.
fn table() -> String {
    let mut text = String::new();
    for resource in Resource::ALL {
        let mut lines: Vec<(String, Vec<String>)> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for fault in Fault::ALL {
            let (disposition, reason) = of_fault(resource, fault);
            let rest = format!("{} | {reason} |", disposition.name());
            let fault = format!("{fault:?}");
            match known.get(&rest) {
                Some(at) => lines[*at].1.push(fault),
                None => {
                    known.insert(rest.clone(), lines.len());
                    lines.push((rest, vec![fault]));
                }
            }
        }
        for (rest, faults) in lines {
            let faults = match faults.len() {
                all if all == Fault::ALL.len() => "any".to_owned(),
                _ => faults.join(", "),
            };
            let _ = writeln!(text, "| {} | {faults} | {rest}", resource.name());
        }
    }
    text
}

#[test]
fn documented_table_of_dispositions_is_the_one_in_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reliability.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = table();
    assert!(
        text.contains(&table),
        "docs/reliability.md must have:\n{table}"
    );
}
