//! What stands instead of what.

use syn::{BinOp, GenericArgument, PathArguments, ReturnType, Type};

/// Returns the operators that are tried instead of one.
pub fn operators(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Lt(_) => &["==", ">", "<="],
        BinOp::Gt(_) => &["==", "<", ">="],
        BinOp::Le(_) => &[">"],
        BinOp::Ge(_) => &["<"],
        BinOp::Add(_) => &["-", "*"],
        BinOp::Sub(_) => &["+", "/"],
        BinOp::Mul(_) => &["+", "/"],
        BinOp::Div(_) => &["%", "*"],
        BinOp::Rem(_) => &["/", "+"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::BitAnd(_) => &["|", "^"],
        BinOp::BitOr(_) => &["&", "^"],
        BinOp::BitXor(_) => &["|", "&"],
        BinOp::AddAssign(_) => &["-=", "*="],
        BinOp::SubAssign(_) => &["+=", "/="],
        BinOp::MulAssign(_) => &["+=", "/="],
        BinOp::DivAssign(_) => &["%=", "*="],
        BinOp::RemAssign(_) => &["/=", "+="],
        BinOp::ShlAssign(_) => &[">>="],
        BinOp::ShrAssign(_) => &["<<="],
        BinOp::BitAndAssign(_) => &["|="],
        BinOp::BitOrAssign(_) => &["&=", "^="],
        BinOp::BitXorAssign(_) => &["|=", "&="],
        _ => &[],
    }
}

/// Returns what a function could give back instead.
pub fn values(returned: &ReturnType) -> Vec<String> {
    match returned {
        ReturnType::Default => vec!["()".to_string()],
        ReturnType::Type(_, one) => of(one),
    }
}

fn of(one: &Type) -> Vec<String> {
    let text = |values: &[&str]| values.iter().map(|value| value.to_string()).collect();
    match one {
        Type::Never(_) | Type::ImplTrait(_) => Vec::new(),
        Type::Paren(inner) => of(&inner.elem),
        Type::Tuple(parts) if parts.elems.is_empty() => text(&["()"]),
        Type::Tuple(parts) => parts
            .elems
            .iter()
            .map(of)
            .fold(vec![String::new()], |whole, part| {
                let longer = |head: &String| {
                    part.iter()
                        .map(|value| format!("{head}{value}, "))
                        .collect::<Vec<_>>()
                };
                whole.iter().flat_map(longer).collect()
            })
            .into_iter()
            .map(|inside| format!("({inside})"))
            .collect(),
        Type::Reference(reference) => match (&*reference.elem, reference.mutability) {
            (Type::Slice(_), None) => text(&["&[]"]),
            (Type::Slice(_), Some(_)) => text(&["&mut []"]),
            (Type::Path(path), None) if path.path.is_ident("str") => text(&["\"\"", "\"xyzzy\""]),
            (inner, None) => of(inner).iter().map(|value| format!("&{value}")).collect(),
            (_, Some(_)) => Vec::new(),
        },
        Type::Array(array) => of(&array.elem)
            .iter()
            .map(|value| format!("core::array::from_fn(|_| {value})"))
            .collect(),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else {
                return Vec::new();
            };
            let inner = || match &last.arguments {
                PathArguments::AngleBracketed(inner) => inner
                    .args
                    .iter()
                    .find_map(|one| match one {
                        GenericArgument::Type(one) => Some(of(one)),
                        _ => None,
                    })
                    .unwrap_or_default(),
                _ => Vec::new(),
            };
            let wrapped = |with: &str| {
                inner()
                    .iter()
                    .map(|value| format!("{with}({value})"))
                    .collect::<Vec<_>>()
            };
            match &*last.ident.to_string() {
                "bool" => text(&["true", "false"]),
                "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => text(&["0", "1"]),
                "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => text(&["0", "1", "-1"]),
                "f32" | "f64" => text(&["0.0", "1.0", "-1.0"]),
                "Option" => [vec!["None".to_string()], wrapped("Some")].concat(),
                "Result" => wrapped("Ok"),
                _ => text(&["Default::default()"]),
            }
        }
        _ => Vec::new(),
    }
}
