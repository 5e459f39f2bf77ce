//! From text to the `cel` crate's tree, with limits, good syntax errors and the whole span of every node. Knows no schema.

use std::ops::Range;

use cel::common::ast::{Expr, IdedExpr, SourceInfo};
use cel::parser::{ParseErrors, Parser};

use super::error::ConditionError;

/// Longer texts are refused.
const MAX_BYTES: usize = 8 * 1024;
/// Deeper brackets are refused: the parser recurses.
const MAX_BRACKETS: usize = 40;
/// More operators in a row, without `&&` or `||` between them, are refused: their tree is as deep.
const MAX_OPERATORS: usize = 120;

/// A parsed text.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) root: IdedExpr,
    places: Places<'a>,
}

/// Where the nodes of a text stand.
#[derive(Debug)]
pub(super) struct Places<'a> {
    text: &'a str,
    info: SourceInfo,
    /// Every bracket outside literals and its partner, in order.
    brackets: Vec<(usize, usize)>,
}

impl<'a> Source<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ConditionError> {
        if text.trim().is_empty() {
            return Err(ConditionError::new(0..text.len(), "the condition is empty"));
        }
        if text.len() > MAX_BYTES {
            return Err(ConditionError::new(
                0..text.len(),
                format!("the condition is longer than {MAX_BYTES} bytes"),
            )
            .help("name parts of it as segments"));
        }
        let brackets = scan(text)?;
        let (root, info) =
            Parser::new().parse_with_source_info(text).map_err(|errors| syntax_error(text, &errors))?;
        Ok(Source { text, root, places: Places { text, info, brackets } })
    }

    pub(super) fn into_parts(self) -> (IdedExpr, Places<'a>) {
        (self.root, self.places)
    }
}

impl Places<'_> {
    /// The bytes of a node's own token: an operator, a dot, an opening bracket, a literal.
    pub(super) fn token(&self, expr: &IdedExpr) -> Range<usize> {
        let (start, stop) = self.info.offset_for(expr.id).unwrap_or((0, 0));
        let (start, stop) = ((start as usize).min(self.text.len()), (stop as usize).min(self.text.len()));
        let last = self.text.get(stop..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        start..(stop + last).max(start)
    }

    /// The bytes from the first to the last character of an expression, widened until its brackets pair up.
    pub(super) fn span(&self, expr: &IdedExpr) -> Range<usize> {
        let token = self.token(expr);
        let span = match &expr.expr {
            Expr::Unspecified | Expr::Ident(_) => token,
            Expr::Literal(_) => {
                // The sign of a negative number is a token of its own.
                let before = self.text[..token.start].trim_end();
                let signed = matches!(&expr.expr, Expr::Literal(literal) if negative(literal));
                if signed && before.ends_with('-') { before.len() - 1..token.end } else { token }
            }
            Expr::Select(select) => {
                let operand = self.span(&select.operand);
                if select.test {
                    // has(…): the token is its opening bracket.
                    self.word_before(token.start)..self.closing(token.start)
                } else {
                    operand.start..self.word_after(token.end)
                }
            }
            Expr::Call(call) => {
                let inner = call
                    .target
                    .iter()
                    .map(|target| self.span(target))
                    .chain(call.args.iter().map(|arg| self.span(arg)));
                let inner = inner.reduce(join);
                if self.text[token.clone()].starts_with(['(', '[']) {
                    let start = match (&call.target, &inner) {
                        (None, _) if self.text[token.clone()].starts_with('(') => {
                            self.word_before(token.start)
                        }
                        (_, Some(inner)) => inner.start.min(token.start),
                        (_, None) => token.start,
                    };
                    start..self.closing(token.start)
                } else {
                    inner.map_or(token.clone(), |inner| join(inner, token))
                }
            }
            Expr::Comprehension(quantifier) => {
                self.span(&quantifier.iter_range).start..self.closing(token.start)
            }
            Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => token.start..self.closing(token.start),
        };
        self.balanced(span)
    }

    /// Just behind the bracket that closes the one at `open`.
    fn closing(&self, open: usize) -> usize {
        match self.brackets.binary_search_by_key(&open, |(at, _)| *at) {
            Ok(position) => self.brackets[position].1 + 1,
            Err(_) => open + 1,
        }
    }

    /// The start of the name that ends before `at`.
    fn word_before(&self, at: usize) -> usize {
        let before = self.text[..at].trim_end();
        before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len()
    }

    /// The end of the name that begins after `at`.
    fn word_after(&self, at: usize) -> usize {
        let after = self.text[at..].trim_start();
        let word = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len());
        self.text.len() - after.len() + word
    }

    fn balanced(&self, mut span: Range<usize>) -> Range<usize> {
        loop {
            let wider = self
                .brackets
                .iter()
                .filter(|(at, _)| span.contains(at))
                .fold(span.clone(), |span, (_, partner)| join(span, *partner..partner + 1));
            if wider == span {
                return span;
            }
            span = wider;
        }
    }
}

fn negative(literal: &cel::common::ast::LiteralValue) -> bool {
    use cel::common::ast::LiteralValue;
    match literal {
        LiteralValue::Int(whole) => *whole.inner() < 0,
        LiteralValue::Double(number) => number.inner().is_sign_negative(),
        _ => false,
    }
}

fn join(a: Range<usize>, b: Range<usize>) -> Range<usize> {
    a.start.min(b.start)..a.end.max(b.end)
}

/// Pairs the brackets outside literals and comments, and refuses what would recurse too deeply.
fn scan(text: &str) -> Result<Vec<(usize, usize)>, ConditionError> {
    let bytes = text.as_bytes();
    let (mut pairs, mut open) = (Vec::new(), Vec::<usize>::new());
    let (mut at, mut operators) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                let raw = at > 0 && matches!(bytes[at - 1], b'r' | b'R');
                at = end_of_literal(bytes, at, quote, raw);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'(' | b'[' | b'{' => {
                open.push(at);
                operators += 1;
            }
            b')' | b']' | b'}' => {
                if let Some(start) = open.pop() {
                    pairs.push((start, at));
                    pairs.push((at, start));
                }
            }
            b'&' | b'|' => operators = 0,
            b'+' | b'-' | b'*' | b'/' | b'%' | b'.' | b'?' | b'!' | b'=' | b'<' | b'>' => operators += 1,
            _ => {}
        }
        if open.len() > MAX_BRACKETS || operators > MAX_OPERATORS {
            return Err(ConditionError::new(at..at + 1, "the condition is nested too deeply here")
                .help("name parts of it as segments"));
        }
        at += 1;
    }
    pairs.sort_unstable();
    Ok(pairs)
}

fn end_of_literal(bytes: &[u8], start: usize, quote: u8, raw: bool) -> usize {
    let long = bytes.get(start + 1) == Some(&quote) && bytes.get(start + 2) == Some(&quote);
    let mut at = start + if long { 3 } else { 1 };
    while at < bytes.len() {
        if bytes[at] == b'\\' && !raw {
            at += 2;
        } else if bytes[at] == quote && (!long || bytes[at..].starts_with(&[quote; 3])) {
            return at + if long { 3 } else { 1 };
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The parser's first complaint, in plain words, with the usual slips recognised.
fn syntax_error(text: &str, errors: &ParseErrors) -> ConditionError {
    let Some(first) = errors.errors.first() else {
        return ConditionError::new(0..text.len(), "this is not a condition");
    };
    let at = offset_of(text, first.pos);
    let rest = text.get(at..).unwrap_or_default();
    let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let length = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
    let span = at..at + length;
    let here = &text[span.clone()];
    let said = first.msg.trim_start_matches("Syntax error: ");
    let message = match here {
        "" => "the condition ends too early".to_owned(),
        _ if said.starts_with("token recognition") => format!("`{here}` is not understood here"),
        _ if said.contains("input") || said.contains("viable") => format!("`{here}` does not belong here"),
        _ => said.split(" expecting").next().unwrap_or(said).to_owned(),
    };
    let help = match here {
        "=" => Some("compare with `==`"),
        "and" | "AND" => Some("write `&&`"),
        "or" | "OR" => Some("write `||`"),
        "not" | "NOT" => Some("write `!`"),
        "&" => Some("write `&&`"),
        "|" => Some("write `||`"),
        "is" => Some("compare with `==`"),
        "" if text.matches('(').count() > text.matches(')').count() => Some("close the bracket"),
        "„" | "“" | "”" | "‚" | "‘" | "’" | "«" | "»" => {
            Some("write the text in straight quotation marks: 'like this'")
        }
        "\"" | "'" => Some("close the text with the same quotation mark"),
        _ if text[..at].trim_end().ends_with(" not") => Some("write `!`"),
        _ => None,
    };
    let error = ConditionError::new(span, message);
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}

/// The byte offset of a line and a column, both counted from 1, the column in characters.
fn offset_of(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = &text[start.min(text.len())..];
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}
