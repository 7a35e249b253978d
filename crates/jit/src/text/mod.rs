//! The text form of the IR: what people read in dumps and write in file tests.
//!
//! # Grammar
//! White space separates and means nothing else; `;` starts a comment that runs to the end of the line.
//!
//! ```text
//! module  = { "func" "@" NAME "(" [ param { "," param } ] ")" "->" "(" [ type { "," type } ] ")" "{" block { block } "}" }
//! param   = VALUE ":" type [ "noalias" ] [ "readonly" ]
//! type    = SCALAR | "tuple" "<" [ type { "," type } ] ">" | "view" "<" SCALAR ";" { "dyn" | "unit" | "zero" } ">"
//! block   = BLOCK [ "(" VALUE ":" type { "," VALUE ":" type } ")" ] ":" { [ VALUE { "," VALUE } "=" ] inst } end
//! inst    = "const" SCALAR literal
//!         | UNARY VALUE                                        neg, sqrt, sin ... (UnOp::name)
//!         | BINARY [ "reassoc" ] [ "contract" ] VALUE "," VALUE   add, min ... (BinOp::name)
//!         | COMPARISON VALUE "," VALUE                         eq, lt ... (CmpOp::name)
//!         | LIBRARY VALUE { "," VALUE }                        cexp, ldexp ... (LibFn::name)
//!         | "select" VALUE "," VALUE "," VALUE
//!         | ( "cast" | "bitcast" ) VALUE "to" SCALAR
//!         | "complex" VALUE "," VALUE
//!         | "tuple" "(" values ")"
//!         | "get" VALUE "," INTEGER                            an element of a tuple
//!         | "len" VALUE "," INTEGER                            the length of an axis
//!         | "local" SCALAR "," INTEGER                         LocalArray
//!         | "subview" VALUE "[" values ";" values "]"          offsets; lengths
//!         | "load" VALUE "[" values "]" ( "known" | "checked" )
//!         | "store" VALUE "[" values "]" "," VALUE ( "known" | "checked" )
//!         | "call" "@" NAME "(" values ")"
//!         | "parfor" VALUE ".." VALUE "grain" VALUE "@" NAME "(" values ")"    body and captures
//!               [ "init" "(" values ")" ] [ "combine" "@" NAME ]
//! end     = "jump" target | "branch" VALUE "," target "," target | "return" values | "trap" CODE
//! target  = BLOCK [ "(" values ")" ]
//! values  = [ VALUE { "," VALUE } ]
//! literal = "true" | "false" | INTEGER | FLOAT | "inf" | "-inf" | "nan" [ "(" HEX ")" ] | "(" FLOAT "," FLOAT ")"
//! CODE    = "index_out_of_bounds" | "division_by_zero" | "overflow" | "shape_mismatch" | "unreachable"
//!         | "stack_overflow" | "user" INTEGER
//! ```
//! `VALUE` is `v` and a number, `BLOCK` is `b` and a number, `SCALAR` is a name such as `f64`, `NAME` is made of letters,
//! digits, `_` and `.`, or anything between double quotes (with `\"` and `\\`). The first block is the entry and lists no
//! parameters: they are the function's.
//!
//! # Promises
//! Printing and parsing a canonical function (see `canonical.rs`) gives an equal one; floats come back with the same bits,
//! NaN payloads included. Numbers in the text are names only: the parser renumbers in order of definition. It checks what
//! it needs to infer types and leaves the rest to the verifier. Memory is proportional to the text, whatever the text.

mod lex;
mod literal;
mod parse;
mod print;

pub use literal::{parse_scalar, print_scalar};
pub use parse::{ParseError, parse_module};
pub(crate) use print::print_terminator;
pub use print::{print_function, print_inst, print_module};
