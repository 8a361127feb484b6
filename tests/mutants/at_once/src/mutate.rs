//! Finds what can be changed in a file, as `cargo mutants` does, and writes the file with all of it
//! in, each change under a switch.

use std::collections::HashSet;
use std::ops::Range;

use proc_macro2::Span;
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Arm, Attribute, BinOp, Block, Expr, ExprBinary, ExprIf, ExprMatch, ExprUnary, File, ImplItemFn,
    ItemConst, ItemFn, ItemImpl, ItemMod, ItemStatic, Meta, Pat, Signature, Stmt, Token,
    TraitItemFn, UnOp,
};

use crate::replace;

/// One change in one place.
pub struct Mutant {
    /// The file, the line and what is done, in the words of `cargo mutants`.
    pub name: String,
    /// The byte at which what is changed begins.
    pub start: usize,
    /// Where it stands, and how it is written.
    form: Form,
}

enum Form {
    /// An expression of these bytes, and the text instead of it.
    Instead(Range<usize>, String),
    /// What a function's body, whose first byte is told, gives back instead of all it does.
    Returned(usize, String),
    /// The arm of a match that is left out, by where its pattern ends and its guard stands.
    LeftOut(usize, Option<Range<usize>>),
}

/// What a file's mutants are looked for with.
pub struct Finder<'a> {
    /// The file's name and text.
    name: &'a str,
    text: &'a str,
    /// The crate's features that are on.
    features: &'a [&'a str],
    /// The type that methods are of.
    owner: Vec<String>,
    function: Vec<String>,
    found: Vec<Mutant>,
    /// Modules in files of their own that the build has not: what their names begin with.
    left_out: Vec<String>,
}

impl<'a> Finder<'a> {
    pub fn new(name: &'a str, text: &'a str, features: &'a [&'a str]) -> Self {
        Finder {
            name,
            text,
            features,
            owner: Vec::new(),
            function: Vec::new(),
            found: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Looks through the whole file. Returns its mutants, and how the names of files begin that its
    /// configuration leaves out.
    pub fn look(mut self) -> (Vec<Mutant>, Vec<String>) {
        let file: File = match syn::parse_file(self.text) {
            Ok(file) => file,
            Err(error) => panic!("{}: {error}", self.name),
        };
        if self.is_compiled(&file.attrs) {
            self.visit_file(&file);
        }
        (self.found, self.left_out)
    }

    /// Returns where the file's modules are, if they have files of their own.
    fn folder(&self) -> &'a str {
        let whole = self.name.trim_end_matches(".rs");
        ["/mod", "/lib", "/main"]
            .iter()
            .find_map(|root| whole.strip_suffix(root))
            .unwrap_or(whole)
    }

    fn add(&mut self, at: Span, what: &str, form: Form) {
        let start = at.start();
        let place = format!("{}:{}:{}", self.name, start.line, start.column + 1);
        let inside = match (&form, self.function.last()) {
            // What is done names it.
            (Form::Returned(..), _) | (_, None) => String::new(),
            (_, Some(function)) => format!(" in {function}"),
        };
        let name = format!("{place}: {what}{inside}");
        let start = at.byte_range().start;
        self.found.push(Mutant { name, start, form });
    }

    fn raw(&self, range: Range<usize>) -> &'a str {
        &self.text[range]
    }

    /// Returns true if items of such attributes are in the build, and are no tests.
    fn is_compiled(&self, attributes: &[Attribute]) -> bool {
        attributes.iter().all(|one| {
            !one.path().is_ident("test")
                && (!one.path().is_ident("cfg")
                    || one.parse_args().map_or(true, |meta| self.is_on(&meta)))
        })
    }

    /// Returns true if a condition of the configuration holds.
    fn is_on(&self, condition: &Meta) -> bool {
        match condition {
            Meta::Path(path) => path.is_ident("unix") || path.is_ident("debug_assertions"),
            Meta::NameValue(pair) if pair.path.is_ident("feature") => {
                let value = pair.value.to_token_stream().to_string();
                self.features.contains(&value.trim_matches('"'))
            }
            Meta::NameValue(pair) => {
                let value = pair.value.to_token_stream().to_string();
                [
                    "\"x86_64\"",
                    "\"linux\"",
                    "\"64\"",
                    "\"little\"",
                    "\"unix\"",
                ]
                .contains(&&*value)
                    || pair.path.is_ident("target_has_atomic")
            }
            Meta::List(list) => {
                let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
                let Ok(parts) = list.parse_args_with(parse) else {
                    return true;
                };
                match &*list.path.to_token_stream().to_string() {
                    "not" => parts.iter().all(|part| !self.is_on(part)),
                    "any" => parts.iter().any(|part| self.is_on(part)),
                    _ => parts.iter().all(|part| self.is_on(part)),
                }
            }
        }
    }

    /// Goes into a function, and adds what it could give back instead.
    fn enter(&mut self, signature: &Signature, body: &Block, inside: impl FnOnce(&mut Self)) {
        let name = signature.ident.to_string();
        if name == "check" && body.to_token_stream().to_string().contains("invariant !") {
            // It only checks invariants.
            return;
        }
        let name = self
            .owner
            .last()
            .map_or(name.clone(), |owner| format!("{owner}::{name}"));
        self.function.push(name.clone());
        if signature.unsafety.is_none() && !body.stmts.is_empty() {
            let returned = match &signature.output {
                syn::ReturnType::Default => String::new(),
                syn::ReturnType::Type(_, one) => {
                    format!(" -> {}", one_line(self.raw(one.span().byte_range())))
                }
            };
            // What it does, but for naming what it does not use.
            let named = |one: &&Stmt| match one {
                Stmt::Local(local) => matches!(local.pat, Pat::Wild(_)),
                _ => false,
            };
            let done = body.stmts.iter().filter(|one| !named(one));
            let whole: String = done.map(|one| one.to_token_stream().to_string()).collect();
            // Of a call that a handler need not have, whose body only names what it is given.
            let is_idle = body.stmts.iter().all(|one| named(&one));
            for value in replace::values(&signature.output) {
                if is_idle && value == "()" {
                    continue;
                }
                if whole.replace(' ', "") == value.replace(' ', "") {
                    continue;
                }
                let what = format!("replace {name}{returned} with {value}");
                let form = Form::Returned(body.brace_token.span.open().byte_range().end, value);
                self.add(signature.ident.span(), &what, form);
            }
        }
        if signature.unsafety.is_none() {
            inside(self);
        }
        self.function.pop();
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if self.is_compiled(&item.attrs) {
            self.enter(&item.sig, &item.block, |this| {
                visit::visit_block(this, &item.block)
            });
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if self.is_compiled(&item.attrs) {
            self.enter(&item.sig, &item.block, |this| {
                visit::visit_block(this, &item.block)
            });
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = item
            .default
            .as_ref()
            .filter(|_| self.is_compiled(&item.attrs))
        {
            self.enter(&item.sig, block, |this| visit::visit_block(this, block));
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        // What is shown to people is no behaviour.
        let is_debug = item.trait_.as_ref().is_some_and(|(_, path, _)| {
            path.segments
                .last()
                .is_some_and(|last| last.ident == "Debug")
        });
        if is_debug || !self.is_compiled(&item.attrs) {
            return;
        }
        let owner = item.self_ty.to_token_stream().to_string().replace(' ', "");
        let owner = match &item.trait_ {
            Some((_, path, _)) => {
                format!(
                    "<impl {} for {owner}>",
                    path.to_token_stream().to_string().replace(' ', "")
                )
            }
            None => owner,
        };
        self.owner.push(owner);
        visit::visit_item_impl(self, item);
        self.owner.pop();
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if self.is_compiled(&item.attrs) {
            visit::visit_item_mod(self, item);
        } else if item.content.is_none() {
            let path = format!("{}/{}", self.folder(), item.ident);
            self.left_out.push(format!("{path}.rs"));
            self.left_out.push(format!("{path}/"));
        }
    }

    // What is reckoned at compile time cannot be switched.
    fn visit_item_const(&mut self, _: &'ast ItemConst) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_item_static(&mut self, _: &'ast ItemStatic) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}

    fn visit_expr_repeat(&mut self, item: &'ast syn::ExprRepeat) {
        self.visit_expr(&item.expr);
    }

    fn visit_expr_binary(&mut self, item: &'ast ExprBinary) {
        let instead = replace::operators(&item.op);
        if !holds_let(&item.left) && !holds_let(&item.right) {
            let left = self.raw(item.left.span().byte_range());
            let right = self.raw(item.right.span().byte_range());
            // Of flags, which have no bit in common, both give the same.
            let is_of_flags = matches!(item.op, BinOp::BitOr(_))
                && is_constant(&item.left)
                && is_constant(&item.right);
            for operator in instead {
                if is_of_flags && *operator == "^" {
                    continue;
                }
                let text = if is_assignment(&item.op) {
                    format!("{left} {operator} ({right})")
                } else {
                    format!("({left}) {operator} ({right})")
                };
                let old = item.op.to_token_stream().to_string();
                let form = Form::Instead(item.span().byte_range(), text);
                self.add(
                    item.op.span(),
                    &format!("replace {old} with {operator}"),
                    form,
                );
            }
        }
        if matches!(item.op, BinOp::And(_)) && is_injected(&item.left) {
            return self.visit_expr(&item.left);
        }
        visit::visit_expr_binary(self, item);
    }

    fn visit_arm(&mut self, item: &'ast Arm) {
        if self.is_compiled(&item.attrs) {
            visit::visit_arm(self, item);
        }
    }

    fn visit_expr_if(&mut self, item: &'ast ExprIf) {
        if !self.is_compiled(&item.attrs) {
            return;
        }
        if !is_injected(&item.cond) {
            return visit::visit_expr_if(self, item);
        }
        self.visit_expr(&item.cond);
        if let Some((_, other)) = &item.else_branch {
            self.visit_expr(other);
        }
    }

    fn visit_block(&mut self, item: &'ast Block) {
        for one in &item.stmts {
            self.visit_stmt(one);
            if matches!(one, Stmt::Macro(one) if one.mac.path.is_ident("impossible")) {
                // What follows is not come to.
                return;
            }
        }
    }

    fn visit_expr_unary(&mut self, item: &'ast ExprUnary) {
        let is_literal = matches!(&*item.expr, Expr::Lit(_));
        if matches!(item.op, UnOp::Not(_)) || matches!(item.op, UnOp::Neg(_)) && !is_literal {
            let text = self.raw(item.expr.span().byte_range()).to_string();
            let old = item.op.to_token_stream().to_string();
            let form = Form::Instead(item.span().byte_range(), text);
            self.add(item.op.span(), &format!("delete {old}"), form);
        }
        visit::visit_expr_unary(self, item);
    }

    fn visit_expr_match(&mut self, item: &'ast ExprMatch) {
        let is_wild = |arm: &Arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none();
        let has_wild = item.arms.iter().any(is_wild);
        for arm in &item.arms {
            if !self.is_compiled(&arm.attrs) {
                continue;
            }
            let end = arm.pat.span().byte_range().end;
            let guard = arm.guard.as_ref().map(|(_, guard)| guard);
            let range = guard.map(|guard| guard.span().byte_range());
            if has_wild && !is_wild(arm) {
                let pattern = self.raw(arm.pat.span().byte_range());
                let what = format!("delete match arm {}", one_line(pattern));
                self.add(arm.span(), &what, Form::LeftOut(end, range));
            }
            if let Some(guard) = guard.filter(|guard| !holds_let(guard)) {
                for value in ["true", "false"] {
                    let what = format!(
                        "replace match guard {} with {value}",
                        one_line(self.raw(guard.span().byte_range()))
                    );
                    let form = Form::Instead(guard.span().byte_range(), value.to_string());
                    self.add(guard.span(), &what, form);
                }
            }
        }
        visit::visit_expr_match(self, item);
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns true if all names in an expression of paths and `|` are constants'.
fn is_constant(expression: &Expr) -> bool {
    match expression {
        Expr::Path(path) => path.path.segments.last().is_some_and(|last| {
            let name = last.ident.to_string();
            name.chars()
                .all(|one| one.is_ascii_uppercase() || one == '_')
        }),
        Expr::Binary(both) => {
            matches!(both.op, BinOp::BitOr(_))
                && is_constant(&both.left)
                && is_constant(&both.right)
        }
        _ => false,
    }
}

/// Returns true if an expression is true only with a bug that is injected, and they are off.
fn is_injected(expression: &Expr) -> bool {
    match expression {
        Expr::Macro(one) => one.mac.path.is_ident("injected_bug"),
        Expr::Binary(both) => {
            matches!(both.op, BinOp::And(_))
                && (is_injected(&both.left) || is_injected(&both.right))
        }
        _ => false,
    }
}

fn holds_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(both) => holds_let(&both.left) || holds_let(&both.right),
        _ => false,
    }
}

fn is_assignment(operator: &BinOp) -> bool {
    let text = operator.to_token_stream().to_string();
    text.ends_with('=') && !["==", "!=", "<=", ">="].contains(&&*text)
}

/// The name by which code asks whether a mutant is on.
pub const SWITCH: &str = "::usockets_mutants_switch::on(";

/// Returns the text with these mutants in, numbered from `first` on, but for those left out.
pub fn with_switches(text: &str, mutants: &[Mutant], first: u32, out: &HashSet<u32>) -> String {
    // Where, in which order there, and what: ends before starts, inner ends and outer starts first.
    let mut pieces: Vec<(usize, u8, usize, u32, String)> = Vec::new();
    let mut ranges: HashSet<Range<usize>> = HashSet::new();
    let numbered = || {
        (first..)
            .zip(mutants)
            .filter(|(number, _)| !out.contains(number))
    };
    for (number, mutant) in numbered() {
        let asked = format!("{SWITCH}{number})");
        match &mutant.form {
            Form::Instead(range, other) => {
                let len = range.len();
                let is_first = ranges.insert(range.clone());
                let opening = if is_first { "(" } else { "" };
                let piece = format!("{opening}if {asked} {{ {other}\n}} else ");
                pieces.push((range.start, 1, usize::MAX - len, number, piece));
                if is_first {
                    // After all of these mutants.
                    pieces.push((range.start, 1, usize::MAX - len, u32::MAX, "{ ".to_string()));
                    pieces.push((range.end, 0, len, 0, "\n})".to_string()));
                }
            }
            Form::Returned(at, value) => {
                let piece = format!(" if {asked} {{ return {value}; }}");
                pieces.push((*at, 1, 0, number, piece));
            }
            Form::LeftOut(at, None) => {
                pieces.push((*at, 0, usize::MAX, number, format!(" if !{asked}")));
            }
            Form::LeftOut(_, Some(range)) => {
                pieces.push((range.start, 1, 0, number, format!("!{asked} && (")));
                pieces.push((range.end, 0, usize::MAX, number, "\n)".to_string()));
            }
        }
    }
    pieces.sort();
    let mut written = String::new();
    let mut from = 0;
    for (at, _, _, _, piece) in pieces {
        written.push_str(&text[from..at]);
        written.push_str(&piece);
        from = at;
    }
    written.push_str(&text[from..]);
    written
}

/// Returns the mutant that the compiler complains of at this byte of what was written.
pub fn at(written: &str, byte: usize) -> Option<u32> {
    let before = written.get(..byte)?;
    let start = before.rfind(SWITCH)? + SWITCH.len();
    written[start..].split(')').next()?.parse().ok()
}
