//! The table of figures.

use std::process::ExitCode;

/// One line of the table.
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// The measured value.
    pub value: f64,
    /// The greatest value allowed; `None` for a value that is only told.
    pub bound: Option<f64>,
    /// The same of µSockets in C, where there is such a figure.
    pub theirs: &'static str,
    /// How it was measured.
    pub how: &'static str,
}

/// All figures so far.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
    skipped: Vec<String>,
}

impl Report {
    /// Adds a figure that has a bound.
    pub fn bounded(
        &mut self,
        name: &'static str,
        value: f64,
        bound: f64,
        theirs: &'static str,
        how: &'static str,
    ) {
        self.add(Figure {
            name,
            value,
            bound: Some(bound),
            theirs,
            how,
        });
    }

    /// Adds a figure that is only told.
    pub fn told(&mut self, name: &'static str, value: f64, how: &'static str) {
        self.add(Figure {
            name,
            value,
            bound: None,
            theirs: "",
            how,
        });
    }

    /// Notes what could not be measured here, and why.
    pub fn skipped(&mut self, what: &str, why: &str) {
        eprintln!("skipped: {why}: {what}");
        self.skipped.push(format!("skipped: {why}: {what}"));
    }

    fn add(&mut self, figure: Figure) {
        eprintln!("  {}: {}", figure.name, number(figure.value));
        self.figures.push(figure);
    }

    /// Prints the table. The code is 1 when a figure is over its bound.
    pub fn print(&self) -> ExitCode {
        println!(
            "{:<50} {:>9} {:>7} {:>11}  {:<4}  measured by",
            "figure", "measured", "bound", "µSockets", ""
        );
        let mut over = 0;
        for figure in &self.figures {
            let (bound, state) = match figure.bound {
                None => (String::new(), ""),
                Some(bound) if figure.value <= bound => (number(bound), "ok"),
                Some(bound) => {
                    over += 1;
                    (number(bound), "OVER")
                }
            };
            println!(
                "{:<50} {:>9} {bound:>7} {:>11}  {state:<4}  {}",
                figure.name,
                number(figure.value),
                figure.theirs,
                figure.how
            );
        }
        for line in &self.skipped {
            println!("{line}");
        }
        if over > 0 {
            println!("{over} over the bound");
            return ExitCode::FAILURE;
        }
        println!("{} figures, none over its bound", self.figures.len());
        ExitCode::SUCCESS
    }
}

/// A value with two digits behind the point, if it has any.
fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
