//! Figures beside their bounds.

/// Prints figures as they come.
#[derive(Default)]
pub struct Table {
    pub is_over: bool,
}

impl Table {
    pub fn at_most(&mut self, what: &str, figure: Option<f64>, max: Option<f64>) {
        let Some(figure) = figure else { return };
        self.line(what, figure, max, max.is_some_and(|max| figure > max));
    }

    pub fn at_least(&mut self, what: &str, figure: Option<f64>, min: Option<f64>) {
        let Some(figure) = figure else { return };
        self.line(what, figure, min, min.is_some_and(|min| figure < min));
    }

    fn line(&mut self, what: &str, figure: f64, bound: Option<f64>, is_over: bool) {
        let bound = bound.map(|bound| bound.to_string()).unwrap_or_default();
        let mark = if is_over { "OVER" } else { "" };
        println!("{what:<60} {figure:>10.2} {bound:>8} {mark}");
        self.is_over |= is_over;
    }
}
