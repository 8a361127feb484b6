//! Every figure of every round, in JSON (RFC 8259).

use std::fmt::Write;

use crate::machine::Machine;
use crate::results::{Entry, Group};

/// Returns the whole document.
pub(crate) fn document(groups: &[Group], machine: &Machine) -> String {
    let versions = machine.versions.iter();
    let versions = versions.map(|(name, version)| format!("{}: {}", text(name), text(version)));
    let versions: Vec<_> = versions.collect();
    let groups: Vec<_> = groups.iter().map(group).collect();
    format!(
        "{{\n  \"processor\": {},\n  \"processors\": {},\n  \"virtual\": {},\n  \"kernel\": {},\n  \
         \"load_at_start\": {},\n  \"rounds\": {},\n  \"seconds\": {},\n  \"versions\": {{{}}},\n  \
         \"workloads\": [\n{}\n  ]\n}}\n",
        text(&machine.processor),
        machine.processors,
        machine.is_virtual,
        text(&machine.kernel),
        number(machine.load),
        machine.rounds,
        number(machine.window.as_secs_f64()),
        versions.join(", "),
        groups.join(",\n"),
    )
}

fn group(group: &Group) -> String {
    let entries: Vec<_> = group
        .entries
        .iter()
        .map(|each| entry(group, each))
        .collect();
    format!(
        "    {{\n      \"name\": {},\n      \"unit\": {},\n      \
         \"servers\": [\n{}\n      ]\n    }}",
        text(group.name),
        text(group.unit),
        entries.join(",\n"),
    )
}

fn entry(group: &Group, entry: &Entry) -> String {
    let mut json = format!("        {{\n          \"name\": {}", text(entry.label));
    for metric in group.metrics() {
        let Some(median) = entry.median(metric) else {
            continue;
        };
        let rounds: Vec<_> = entry.rounds(metric).into_iter().map(number).collect();
        let rounds = rounds.join(", ");
        let median = number(median);
        let key = metric.key();
        json +=
            &format!(",\n          \"{key}\": {{\"median\": {median}, \"rounds\": [{rounds}]}}");
    }
    json + "\n        }"
}

/// A number, to a thousandth; JSON has no infinities.
fn number(number: f64) -> String {
    if number.is_finite() {
        format!("{:.3}", number)
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned()
    } else {
        "null".into()
    }
}

/// A string, escaped.
fn text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\0'..='\x1f' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(char));
            }
            _ => quoted.push(char),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json() {
        assert_eq!(text("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
        assert_eq!(number(1.5), "1.5");
        assert_eq!(number(200.0), "200");
        assert_eq!(number(f64::NAN), "null");
    }
}
