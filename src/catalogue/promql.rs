//! Whether the PromQL that an admin wrote for a kind keeps owners apart: every series that it gives must carry the owner's
//! and the server's label of what it was made of, and nothing of another server. Pure; what Prometheus itself says of
//! it is asked by `prometheus::values`.

use std::collections::BTreeSet;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorSelector, parse};

/// The longest expression, bytes.
pub const LONGEST: usize = 2000;
/// Brackets and operators within each other.
const DEEPEST: usize = 60;
/// Labels that a rule sets itself, or that make a series what it is.
const OURS: [&str; 3] = ["__name__", "alertname", "severity"];

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gives {
    /// One number, or a text.
    Scalar,
    /// Series, with both labels.
    Series,
}

/// The metrics that it reads, in order, where the labels of owner and server are called so; or why it cannot be taken,
/// for people.
pub fn metrics(promql: &str, own: [&str; 2]) -> Result<Vec<String>, String> {
    if promql.len() > LONGEST {
        return Err(format!("At most {LONGEST} characters."));
    }
    // the parser and its tree go as deep as what they read
    let deep = promql.chars().fold((0_usize, 0_usize), |(now, most), c| match c {
        '(' | '{' | '[' => (now + 1, most.max(now + 1)),
        ')' | '}' | ']' => (now.saturating_sub(1), most),
        _ => (now, most),
    });
    if deep.1 > DEEPEST {
        return Err("It has too many brackets within each other.".into());
    }
    let expr = parse(promql).map_err(|why| format!("It is no PromQL: {why}."))?;
    let mut walk = Walk { own, found: BTreeSet::new() };
    match walk.gives(&expr, 0)? {
        Gives::Series => Ok(walk.found.into_iter().collect()),
        Gives::Scalar => Err("It gives one number and no series of servers.".into()),
    }
}

struct Walk<'a> {
    own: [&'a str; 2],
    found: BTreeSet<String>,
}

impl Walk<'_> {
    fn gives(&mut self, expr: &Expr, depth: usize) -> Result<Gives, String> {
        if depth > DEEPEST {
            return Err("It is too deep: write it with fewer operators.".into());
        }
        let next = depth + 1;
        match expr {
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(Gives::Scalar),
            Expr::Paren(inner) => self.gives(&inner.expr, next),
            Expr::Unary(inner) => self.gives(&inner.expr, next),
            Expr::Subquery(inner) => self.gives(&inner.expr, next),
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(selector) => self.selector(&selector.vs),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, next),
            Expr::Binary(binary) => self.binary(binary, next),
            Expr::Call(call) => self.call(call, next),
            Expr::Extension(_) => Err("It has something that prommgr does not know.".into()),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) -> Result<Gives, String> {
        let Some(name) = &selector.name else {
            return Err("Each selector must name its metric before the braces.".into());
        };
        if name.starts_with("ALERTS") || name.starts_with("prommgr:publication") {
            return Err(format!("{name} is of no server."));
        }
        if !selector.matchers.or_matchers.is_empty() {
            return Err("`or` between braces is known to VictoriaMetrics only.".into());
        }
        self.found.insert(name.clone());
        Ok(Gives::Series)
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr, depth: usize) -> Result<Gives, String> {
        if let Some(parameter) = &aggregate.param
            && self.gives(parameter, depth)? == Gives::Series
        {
            return Err("The parameter of an aggregation must be a number or a text.".into());
        }
        // count_values and quantile have a parameter; the former makes a label of it
        if let Some(Expr::StringLiteral(label)) = aggregate.param.as_deref() {
            self.free(&label.val)?;
        }
        self.gives(&aggregate.expr, depth)?;
        let [owner, server] = self.own;
        match &aggregate.modifier {
            Some(LabelModifier::Include(labels)) if self.own.iter().all(|own| has(&labels.labels, own)) => {}
            Some(LabelModifier::Exclude(labels)) if !self.own.iter().any(|own| has(&labels.labels, own)) => {}
            _ => {
                return Err(format!(
                    "An aggregation must keep owners and servers apart: write `by ({owner}, {server}, …)`, or `without` \
                     other labels than these."
                ));
            }
        }
        // of a scalar there is nothing to aggregate, which Prometheus says
        Ok(Gives::Series)
    }

    fn binary(&mut self, binary: &BinaryExpr, depth: usize) -> Result<Gives, String> {
        let sides = (self.gives(&binary.lhs, depth)?, self.gives(&binary.rhs, depth)?);
        let modifier = binary.modifier.as_ref();
        let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
        let [owner, server] = self.own;
        let kept = match matching {
            None => true,
            Some(LabelModifier::Include(labels)) => self.own.iter().all(|own| has(&labels.labels, own)),
            Some(LabelModifier::Exclude(labels)) => !self.own.iter().any(|own| has(&labels.labels, own)),
        };
        if !kept {
            return Err(format!(
                "Both sides of an operator must be of the same server: `on` must name {owner} and {server}, and `ignoring` \
                 neither."
            ));
        }
        if let Some(labels) = modifier.and_then(|modifier| modifier.card.labels()) {
            for label in &labels.labels {
                self.free(label)?;
            }
        }
        // values that are made up for what does not match are nobody's
        if modifier
            .is_some_and(|modifier| modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some())
        {
            return Err("`fill` is not known to every Prometheus.".into());
        }
        match sides {
            (Gives::Scalar, Gives::Scalar) => Ok(Gives::Scalar),
            _ => Ok(Gives::Series),
        }
    }

    fn call(&mut self, call: &Call, depth: usize) -> Result<Gives, String> {
        let name = call.func.name;
        let refused = match name {
            "vector" | "scalar" => "gives a number that is of no server",
            "absent" | "absent_over_time" => "gives a series that is of no server",
            "info" => "takes labels from elsewhere",
            _ if call.func.experimental => "is not known to every Prometheus",
            _ => "",
        };
        if !refused.is_empty() {
            return Err(format!("{name}() {refused}."));
        }
        if let ("label_join" | "label_replace", Some(Expr::StringLiteral(label))) =
            (name, call.args.args.get(1).map(|arg| &**arg))
        {
            self.free(&label.val)?;
        }
        let mut series = false;
        for argument in &call.args.args {
            series |= self.gives(argument, depth)? == Gives::Series;
        }
        match call.func.return_type {
            ValueType::Scalar | ValueType::String => Ok(Gives::Scalar),
            _ if series => Ok(Gives::Series),
            _ => Err(format!("{name}() without series gives a number that is of no server.")),
        }
    }

    /// That a label may be set by the expression.
    fn free(&self, label: &str) -> Result<(), String> {
        if self.own.contains(&label) || OURS.contains(&label) {
            return Err(format!("It must not set the label {label}."));
        }
        Ok(())
    }
}

fn has(labels: &[String], label: &str) -> bool {
    labels.iter().any(|one| one == label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(promql: &str) -> Result<Vec<String>, String> {
        metrics(promql, ["o", "s"])
    }

    #[test]
    fn what_keeps_both_labels_is_taken() {
        for (promql, names) in [
            ("node_entropy_available_bits", "node_entropy_available_bits"),
            ("100 * a / (b > 0)", "a b"),
            ("-(a)", "a"),
            ("sum by (o, s, device) (rate(a[5m]))", "a"),
            ("max without (cpu) (a)", "a"),
            ("a / on (o, s) b", "a b"),
            ("a / ignoring (cpu) group_left (mode) b", "a b"),
            ("a unless on (s, o) b == 1", "a b"),
            ("a or b", "a b"),
            ("max_over_time(rate(a[5m])[1h:1m])", "a"),
            ("time() - a", "a"),
            ("histogram_quantile(0.9, sum by (o, s, le) (rate(a_bucket[5m])))", "a_bucket"),
            ("label_replace(a, \"short\", \"$1\", \"instance\", \"(.*):.*\")", "a"),
            ("topk by (o, s) (1, a)", "a"),
            ("quantile by (o, s) (0.5, a)", "a"),
            ("a offset 5m", "a"),
            ("a{x=~\"y|z\"} @ end()", "a"),
        ] {
            assert_eq!(check(promql).map(|names| names.join(" ")), Ok(names.to_owned()), "{promql}");
        }
    }

    #[test]
    fn what_can_lose_one_is_refused() {
        for (promql, why) in [
            ("sum(a)", "keep owners and servers apart"),
            ("sum by (o) (a)", "keep owners and servers apart"),
            ("sum by (instance) (a)", "keep owners and servers apart"),
            ("max without (s) (a)", "keep owners and servers apart"),
            ("topk(5, a)", "keep owners and servers apart"),
            ("count_values by (o, s) (\"o\", a)", "must not set the label o"),
            ("1 + sum(a)", "keep owners and servers apart"),
            ("rate(a[5m]) > on () group_left () sum(b)", "keep owners and servers apart"),
            ("a / on (instance) b", "same server"),
            ("a / ignoring (o) group_left () b", "same server"),
            ("a and on () b", "same server"),
            ("a unless on (o) b", "same server"),
            ("a / on (o, s) group_left (severity) b", "must not set the label severity"),
            ("label_replace(a, \"s\", \"1\", \"\", \"\")", "must not set the label s"),
            ("label_join(a, \"__name__\", \"-\", \"x\")", "must not set the label __name__"),
            ("vector(1)", "no server"),
            ("a or vector(1)", "no server"),
            ("a > scalar(b)", "no server"),
            ("absent(a)", "no server"),
            ("hour()", "no server"),
            ("a * hour()", "no server"),
            ("1 + 1", "one number"),
            ("time()", "one number"),
            ("\"text\"", "one number"),
            ("{o=\"1\"}", "name its metric"),
            ("{__name__=~\".+\"}", "name its metric"),
            ("ALERTS", "no server"),
            ("sum(", "no PromQL"),
            ("", "no PromQL"),
            ("a[5m", "no PromQL"),
            ("nonsense(a)", "no PromQL"),
        ] {
            let said = check(promql);
            assert!(said.as_ref().is_err_and(|said| said.contains(why)), "{promql}: {said:?}");
        }
        for deep in ["(".repeat(500), "a+".repeat(900) + "a", "-".repeat(1500) + "a", "a".repeat(2001)] {
            assert!(check(&deep).is_err(), "{deep}");
        }
    }
}
